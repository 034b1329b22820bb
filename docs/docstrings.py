"""Griffe extension: facekit's docstrings as the documentation's Markdown.

Types stand in annotations only, so parameters are written ``name:``, without the type that numpydoc expects after the
colon; and Sphinx's roles, which editors know, become plain code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|data|mod|attr):`~?([^`]+)`")
NAMES = re.compile(r"(?m)^(\*{0,2}\w+(?:, \*{0,2}\w+)*):$")
# A block that ends in a double colon is code in reStructuredText.
LITERAL = re.compile(r"(?m)::\n\n((?:[ ]{4}.*\n?|\n)+)")


def markdown(text: str) -> str:
    """A docstring as griffe's numpy parser and Markdown read it."""
    text = ROLE.sub(r"`\1`", text).replace("``", "`")
    text = LITERAL.sub(lambda found: f":\n\n{found.group(1)}", text)
    return NAMES.sub(r"\1", text)


class Docstrings(griffe.Extension):
    """Rewrites every docstring when it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Do so for one object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)
