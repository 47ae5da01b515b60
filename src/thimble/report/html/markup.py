"""HTML and SVG as values. What is not `Markup` is escaped: no name can become code."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from thimble.report.base import short

LONG_NAME = 60
VOID = frozenset({"meta", "br", "hr", "col", "wbr"})  # elements without an end tag


class Markup(str):
    """Text that is HTML already. Only this folder makes it, from escaped parts."""

    __slots__ = ()


def text(value: Any) -> Markup:
    """`value` as it goes between tags: Markup as it is, None as nothing, sequences joined, all else
    escaped.
    """
    if value is None:
        return Markup("")
    if isinstance(value, Markup):
        return value
    if isinstance(value, Iterable) and not isinstance(value, str):
        return Markup("".join(text(item) for item in value))
    return Markup(escape(visible(str(value)), quote=True))


def prose(value: str) -> Markup:
    """A sentence whose `names` are set as code, long ones shortened, whole in a tooltip."""
    parts = value.split("`")
    if len(parts) % 2 == 0:  # a lone backtick
        return text(value)
    return text(_name(part) if i % 2 else part for i, part in enumerate(parts))


def _name(value: str) -> Markup:
    if len(value) <= LONG_NAME:
        return element("code", value)
    return element("code", short(value), title=value)


def visible(value: str) -> str:
    """Control characters, also those that turn the direction of text, as their code points."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\u{ord(c):04x}" for c in value)


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """<tag attributes>children</tag>.

    `class_` is class, `_` in names is `-`; None and False leave an attribute out, True gives it
    without a value, floats are written with at most two decimals.
    """
    parts = [tag]
    for key, value in attributes.items():
        name = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(name)
        elif value is not None and value is not False:
            parts.append(f'{name}="{text(coordinate(value))}"')
    opening = f"<{' '.join(parts)}>"
    if tag in VOID:
        return Markup(opening)
    return Markup(f"{opening}{text(children)}</{tag}>")


def coordinate(value: Any) -> str:
    """A number of an SVG as short as it can be: 12, 3.5, 0.25; strings as they are."""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)
