"""How docstrings become pages: each `name: meaning` at the start of a line gets a paragraph of its own."""

from __future__ import annotations

import re
from typing import Any

import griffe

_FIELDS = re.compile(r"^([a-z]\w*(?:, [a-z]\w*)*): ", re.MULTILINE)
_MARGIN = re.compile(r"\n {4,}(?=\S)")


class FieldParagraphs(griffe.Extension):
    """A field's name set as code, in a paragraph of its own, with the lines that go on with it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of whatever has one."""
        if obj.docstring:
            obj.docstring.value = paragraphs(obj.docstring.value)


def paragraphs(docstring: str) -> str:
    """The docstring in Markdown: "name: meaning" lines apart, their continuation lines unindented."""
    summary, separator, rest = docstring.partition("\n\n")
    joined = _MARGIN.sub("\n", rest) if _FIELDS.search(rest) else rest
    return summary + separator + _FIELDS.sub(lambda found: f"\n`{found[1]}`: ", joined)
