"""What the API pages need of docstrings beside Google style: an extension of Griffe.

Doctests that stand at the margin become code, and the settings of a recipe, which are fields made
by `setting(default, help, ...)`, get their help as docstring and their default as value.
"""

import ast
import re

import griffe

MAKERS = {"setting", "fixed", "by_problem"}
DOCTEST = re.compile(r"(?:^>>> .*\n?(?:^(?!\s*$).*\n?)*)", flags=re.MULTILINE)


def _fenced(match):
    return f"```pycon\n{match.group().rstrip()}\n```\n"


class Docstrings(griffe.Extension):
    """Rewrites docstrings before they are rendered."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(_fenced, obj.docstring.value)

    def on_attribute(self, *, attr, **kwargs):
        made_by = attr.value
        if not isinstance(made_by, griffe.ExprCall) or str(made_by.function) not in MAKERS:
            return
        default, help_ = (str(argument) for argument in made_by.arguments[:2])
        attr.docstring = griffe.Docstring(ast.literal_eval(help_), parent=attr)
        attr.value = default
        attr.labels.discard("instance-attribute")
