"""Settings: the fields of a recipe, each with its default, what is allowed and a word of help."""

import dataclasses
import difflib
import functools
import inspect
import math
import numbers
import os
import types
import typing
from typing import NamedTuple

from meta_keras.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a setting beside its default.

    Attributes:
        help: a sentence or two.
        at_least, at_most: bounds, included.
        above: lower bound, not included.
        choices: the allowed strings; one that ends in `:NAME` allows any name after the colon.
        decides: whether it is part of a run's identity; false for where data lie and for how the
            result is tested.
        brought: whether a preset brings it along.
        fixed: whether it always has its default; a method's own choice, recorded with its runs.
        cases: dict from a value of `case_of` to the default in that case.
        case_of: name of the setting the default depends on.
        called: the setting's name, where the attribute cannot have it.
    """

    help: str
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    choices: tuple | None = None
    decides: bool = True
    brought: bool = False
    fixed: bool = False
    cases: dict | None = None
    case_of: str | None = None
    called: str | None = None

    def requirement(self):
        """What is allowed, in words, or an empty text."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.above == 0:
            return "positive"
        if self.above is not None:
            return f"above {self.above:g}"
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least} to {self.at_most}"
        return f"at least {self.at_least:g}" if self.at_least is not None else ""

    def choice(self, value):
        """The choice that a value is, `tfds:NAME` of `tfds:beans`; None if it is none."""
        for choice in self.choices or ():
            form = choice.removesuffix("NAME")
            if value == choice or (form != choice and value.startswith(form) and value != form):
                return choice
        return None

    def allows(self, value):
        """Whether a finite value of the right type is within bounds."""
        if self.choices:
            return self.choice(value) is not None
        if not isinstance(value, numbers.Real):
            return True
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
        )


def setting(default, help, **options):
    """A field of a recipe, see `Setting`."""
    if options.get("choices"):
        options["choices"] = tuple(options["choices"])
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **options)})


def fixed(value, help):
    """A field that the user cannot set: a method's own choice."""
    return dataclasses.field(
        default=value, init=False, metadata={"setting": Setting(help, fixed=True)}
    )


class Defaults(NamedTuple):
    """Another default of an inherited setting, and others again by the value of another setting."""

    default: object
    case_of: str
    cases: dict


def kind_of(annotation):
    """`(type, whether None is allowed)` of a field's annotation; `tuple` is of integers."""
    options = [annotation]
    if isinstance(annotation, types.UnionType):
        options = list(typing.get_args(annotation))
    (kind,) = (option for option in options if option is not types.NoneType)
    return typing.get_origin(kind) or kind, types.NoneType in options


def checked(name, value, kind, optional, about):
    """A setting's value in its type.

    Raises:
        SettingError: it is of another type or out of bounds.
    """
    if value is None and optional:
        return None
    wanted = {bool: "True or False", int: "an integer", float: "a number", str: "a text"}.get(
        kind, "a list of positive integers such as 20,40"
    )
    if kind is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    right = {
        bool: lambda: isinstance(value, bool),
        int: lambda: _is_number(value, numbers.Integral),
        float: lambda: _is_number(value, numbers.Real),
        str: lambda: isinstance(value, str),
        tuple: lambda: (
            isinstance(value, (list, tuple))
            and bool(value)
            and all(_is_number(part, numbers.Integral) and part > 0 for part in value)
        ),
    }[kind]()
    shown = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    if not right:
        shown = repr(value) if isinstance(value, str) else shown
        raise SettingError(f"{name}={shown} must be {wanted}.")
    value = kind(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(f"{name}={value} must be finite.")
    if not about.allows(value):
        raise SettingError(f"{name}={shown} must be {about.requirement()}.")
    return value


def _is_number(value, kind):
    return isinstance(value, kind) and not isinstance(value, bool)


def settings_of(recipe):
    """The settings of a recipe or its class: dict from a name to `(field, Setting)`."""
    return {
        field.metadata["setting"].called or field.name: (field, field.metadata["setting"])
        for field in dataclasses.fields(recipe)
        if "setting" in field.metadata
    }


@typing.dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(setting, fixed)
)
class Settings:
    """Base of dataclasses whose fields are settings, checked when an object is made.

    A subclass becomes a frozen dataclass without being decorated. Naming an inherited setting with
    another value, without an annotation, gives it another default, in all cases; or, with
    `Defaults`, others in some cases.

    Attributes:
        name: what the user calls the class.
        given: names of the settings that were given, not left at their defaults.
    """

    name: typing.ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        annotations = dict(inspect.get_annotations(cls))
        for name, field in getattr(cls, "__dataclass_fields__", {}).items():
            own_default = name in vars(cls) and name not in annotations
            if own_default and "setting" in field.metadata:
                annotations[name] = field.type
                new = vars(cls)[name]
                if not isinstance(new, Defaults):
                    new = Defaults(new, None, None)
                about = dataclasses.replace(
                    field.metadata["setting"], case_of=new.case_of, cases=new.cases
                )
                metadata = {"setting": about}
                setattr(cls, name, dataclasses.field(default=new.default, metadata=metadata))
        cls.__annotations__ = annotations
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        assign = cls.__init__

        @functools.wraps(assign)
        def __init__(self, **settings):
            self.refuse_unknown(settings)
            self._set("given", frozenset(settings))
            known = settings_of(self)
            assign(self, **{known[name][0].name: value for name, value in settings.items()})

        cls.__init__ = __init__

    def __post_init__(self):
        known, found = settings_of(self), set()

        def find(name):
            if name in found:
                return
            found.add(name)
            field, about = known[name]
            value = getattr(self, field.name)
            if about.cases and name not in self.given:
                find(about.case_of)
                case = getattr(self, about.case_of)
                case = known[about.case_of][1].choice(case) or case
                value = about.cases.get(case, value)
            self._set(field.name, checked(name, value, *kind_of(field.type), about))

        for name in known:
            find(name)
        self.check()

    def but(self, **settings):
        """Another object with the given settings of this one, and these instead or beside.

        Raises:
            SettingError: one does not fit.
        """
        known = settings_of(self)
        given = {name: getattr(self, known[name][0].name) for name in self.given}
        return type(self)(**{**given, **settings})

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def values(self, decides=None):
        """The values of all settings, a JSON-able dict.

        Args:
            decides: only those that do, or do not, decide what a run reaches.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, (field, about) in settings_of(self).items()
            if decides in (None, about.decides)
            for value in [getattr(self, field.name)]
        }

    def check(self):
        """Refuses settings that do not fit together.

        Raises:
            SettingError: they do not.
        """

    @classmethod
    def summary(cls):
        """The first sentence of the class's documentation, without its full stop."""
        return cls.__doc__.splitlines()[0].rstrip(".")

    @classmethod
    def refuse_unknown(cls, settings):
        """Raises a `SettingError` for names that are none of this class's settings."""
        own = [name for name, (_, about) in settings_of(cls).items() if not about.fixed]
        for name in settings:
            if name in own:
                continue
            if any(name in settings_of(other) for other in _below(Settings)):
                raise SettingError(f"{name}={settings[name]} does not apply to method={cls.name}.")
            called = [own for own, (field, _) in settings_of(cls).items() if field.name == name]
            close = called or difflib.get_close_matches(name, own, 1)
            hint = f"did you mean `{close[0]}`? " if close else ""
            raise SettingError(
                f"{name}={settings[name]} is no setting of method={cls.name}; {hint}allowed are "
                f"{', '.join(own)}."
            )


def _below(cls):
    """All classes derived from a class, at any depth."""
    for derived in cls.__subclasses__():
        yield derived
        yield from _below(derived)


def named_settings():
    """All classes of settings that have a name: dict from the name to the class."""
    return {cls.name: cls for cls in _below(Settings) if cls.name}
