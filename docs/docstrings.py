"""What the API pages need of docstrings beside Google style: an extension of Griffe.

Doctests that stand at the margin become code. The settings of a recipe, which are fields made by
`setting(default, help, ...)` and its like, become a table below the class.
"""

import ast
import re

import griffe

MAKERS = {"setting", "by_problem", "fixed"}
# Of recipes, and no settings.
NAMED = {"name", "published", "experiment", "method", "split", "unseen", "chosen_for_any_weights"}
DOCTEST = re.compile(r"^>>> .*\n?(?:^(?!\s*$).*\n?)*", flags=re.MULTILINE)


def _fenced(match):
    return f"```pycon\n{match.group().rstrip()}\n```\n"


def _maker(attribute):
    call = attribute.value
    name = str(call.function) if isinstance(call, griffe.ExprCall) else None
    return name if name in MAKERS else None


def _setting(attribute):
    """A setting's row: its name, its default in every case, what it does."""
    positional, named = [], {}
    for argument in attribute.value.arguments:
        if isinstance(argument, griffe.ExprKeyword):
            named[argument.name] = str(argument.value)
        else:
            positional.append(str(argument))
    name = ast.literal_eval(named.get("called", repr(attribute.name)))
    default = f"`{positional[0]}`"
    if _maker(attribute) == "fixed":
        default += ", always"
    for problem in ("mnist", "characters"):
        if problem in named:
            default += f"; {problem} `{named[problem]}`"
    if named.get("cases", "").startswith("{"):
        for case, value in ast.literal_eval(named["cases"]).items():
            default += f"; {case} `{value}`"
    text = ast.literal_eval(positional[1])
    if "choices" in named and named["choices"].startswith("["):
        choices = [_choice(node) for node in ast.parse(named["choices"]).body[0].value.elts]
        text += f" One of {', '.join(choices)}."
    return f"| `{name}` | {default} | {text.replace('|', '&#124;')} |"


def _choice(node):
    """A choice in words; those of a constant that is joined in are named by the help before."""
    return "those above" if isinstance(node, ast.Starred) else f"`{ast.literal_eval(node)}`"


def _by_case(value):
    """A default; where photographs have another one, both."""
    found = re.fullmatch(r"by_pictures\((.*), photographs=(.*)\)", str(value))
    return f"{found[1]}, of photographs {found[2]}" if found else value


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are rendered."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(_fenced, obj.docstring.value)

    def on_class(self, *, cls, **kwargs):
        """A recipe's settings, and the defaults of inherited ones that it changes."""
        attributes = [member for member in cls.members.values() if member.is_attribute]
        rows = [_setting(attribute) for attribute in attributes if _maker(attribute)]
        others = []
        if ".recipes." in cls.path:
            others = [
                f"`{'episodes' if a.name == 'train_episodes' else a.name}={_by_case(a.value)}`"
                for a in attributes
                if not _maker(a) and a.annotation is None and a.value and a.name not in NAMED
                if "class-attribute" in a.labels
            ]
        text = ""
        if rows:
            text += "\n\n| setting | default | |\n|---|---|---|\n" + "\n".join(rows)
        if others:
            text += "\n\nOther defaults of inherited settings: " + ", ".join(others) + "."
        if text and cls.docstring:
            cls.docstring.value += text + "\n"
        for attribute in attributes:
            if _maker(attribute):
                del cls.members[attribute.name]
