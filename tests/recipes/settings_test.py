"""Tests of settings: defaults, what is allowed, what is refused and in which words."""

import dataclasses
import pathlib

import numpy as np
import pytest

from meta_keras.errors import SettingError
from meta_keras.recipes.settings import Defaults, Settings, fixed, setting, settings_of


class Base(Settings):
    name = "test_base"

    steps: int = setting(5, "Steps.", at_least=1, at_most=100)
    rate: float | None = setting(0.1, "Rate.", above=0)
    kind: str = setting("a", "Kind.", choices=["a", "b"])
    flag: bool = setting(False, "Flag.")
    units: tuple[int, ...] | None = setting(None, "Units.")
    count_: int = setting(3, "Count.", called="count", cases={"b": 7}, case_of="kind")
    where: str | None = setting(None, "Where things lie.", decides=False)


class Derived(Base):
    """Other defaults, a setting of its own, and one that is settled."""

    name = "test_derived"

    steps = 9
    rate = None
    extra: int = setting(1, "Extra.")
    flag: bool = fixed(True, "Always.")


def test_defaults():
    assert Base().values() == {
        "steps": 5, "rate": 0.1, "kind": "a", "flag": False, "units": None, "count": 3,
        "where": None,
    }  # fmt: skip
    derived = Derived().values()
    assert (derived["steps"], derived["rate"], derived["flag"]) == (9, None, True)
    assert settings_of(Derived)["steps"][1] == settings_of(Base)["steps"][1]


def test_given_values():
    found = Base(steps=np.int64(7), rate=1, units=[3, 4], kind="b", count=5)
    assert (found.steps, found.rate, found.units, found.count_) == (7, 1.0, (3, 4), 5)
    assert type(found.steps) is int and type(found.rate) is float
    assert found.values()["units"] == [3, 4]
    assert found.given == {"steps", "rate", "units", "kind", "count"}


def test_a_default_that_depends_on_another_setting():
    assert Base(kind="b").count_ == 7


class ByKind(Base):
    """Another default of an inherited setting, which depends on one that comes later."""

    name = "test_by_kind"

    steps = Defaults(6, "kind", {"b": 8})
    count_ = 4  # in all cases
    later: int = setting(1, "Later.", cases={"data:NAME": 2}, case_of="source")
    source: str = setting("none", "Source.", choices=["none", "data:NAME"])


def test_defaults_in_cases():
    assert (ByKind().steps, ByKind(kind="b").steps, ByKind(kind="b", steps=3).steps) == (6, 8, 3)
    assert ByKind(kind="b").count_ == 4
    assert ByKind(steps=7).kind == "a" and Base(kind="b").steps == 5
    with pytest.raises(SettingError, match="steps=101"):
        ByKind(steps=101)


def test_a_choice_with_a_name():
    assert (ByKind().later, ByKind(source="data:pets/all:1.0.0").later) == (1, 2)
    for wrong in ("data", "data:", "other:pets"):
        with pytest.raises(SettingError, match=f"source={wrong} must be one of none, data:NAME"):
            ByKind(source=wrong)


def test_what_decides():
    assert "where" not in Base().values(decides=True)
    assert list(Base().values(decides=False)) == ["where"]


def test_an_object_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Base().steps = 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, r"steps=0 must be from 1 to 100\."),
        ({"steps": 101}, r"steps=101 must be from 1 to 100\."),
        ({"steps": 1.5}, r"steps=1\.5 must be an integer\."),
        ({"steps": True}, r"steps=True must be an integer\."),
        ({"steps": None}, r"steps=None must be an integer\."),
        ({"rate": 0.0}, r"rate=0\.0 must be positive\."),
        ({"rate": float("nan")}, r"rate=nan must be finite\."),
        ({"rate": float("inf")}, r"rate=inf must be finite\."),
        ({"rate": "fast"}, r"rate='fast' must be a number\."),
        ({"kind": "c"}, r"kind=c must be one of a, b\."),
        ({"flag": 1}, r"flag=1 must be True or False\."),
        ({"units": [3, 0]}, r"units=3,0 must be a list of positive integers"),
        ({"units": []}, r"units= must be a list of positive integers"),
        ({"where": 3}, r"where=3 must be a text\."),
        ({"stpes": 3}, r"stpes=3 is no setting of method=test_base; did you mean `steps`\?"),
        ({"count_": 3}, r"count_=3 is no setting of method=test_base; did you mean `count`\?"),
        ({"extra": 3}, r"extra=3 does not apply to method=test_base\."),
    ],
)
def test_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        Base(**settings)


def test_what_is_settled_cannot_be_set():
    with pytest.raises(SettingError, match=r"flag=False does not apply to method=test_derived\."):
        Derived(flag=False)


def test_paths_are_texts():
    assert Base(where=pathlib.Path("a/b")).where == "a/b"


def test_other_settings_beside_those_given():
    other = Base(kind="b", steps=7).but(steps=8)
    assert (other.kind, other.steps, other.count_) == ("b", 8, 7)
    assert other.given == {"kind", "steps"}
