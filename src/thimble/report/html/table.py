"""Tables: names to the left, figures to the right, bars beside figures; heads sort by a click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from thimble.report.base import NAME_COLUMNS, figure, short
from thimble.report.html.markup import Markup, element


@dataclass(frozen=True)
class Meter:
    """A figure with a bar: each of `parts` (0..1 of the track) has a tone: "", "b" or "bad"."""

    value: float | None
    parts: Sequence[tuple[float, str]]
    shown: str | None = None  # where that is not figure(value)
    hint: str = ""


def meter(value: float | None, largest: float, tone: str = "", shown: str | None = None) -> Meter:
    """`value` with a bar that is full at `largest`."""
    share = value / largest if value and largest else 0.0
    return Meter(value, ((share, tone),), shown)


def meters(values: Sequence[float | None], tone: str = "") -> list[Meter]:
    """One bar per value, full at the largest of them."""
    largest = max((v for v in values if v is not None), default=0)
    return [meter(v, largest, tone) for v in values]


def name(value: str, most: int = NAME_COLUMNS) -> Markup:
    """A tensor's or layer's name: its end, at most `most` characters, the whole in its tooltip."""
    end = short(value)
    end = end if len(end) <= most else "…" + end[1 - most :].lstrip(".")
    return element("code", end.replace("...", "…", 1), title=value if end != value else None)


def shape(dimensions: Sequence[int] | None) -> str:
    """1×49×10×1."""
    return (
        "-"
        if dimensions is None
        else "×".join("?" if d < 0 else str(d) for d in dimensions) or "scalar"
    )


def cell(value: Any, is_left: bool) -> Markup:
    """One <td>, with the number that it sorts by where it shows one."""
    if isinstance(value, Meter):
        shown = value.shown if value.shown is not None else figure(value.value)
        bars = [
            element("i", class_=tone or None, style=f"width:{100 * min(max(share, 0), 1):.4g}%")
            for share, tone in value.parts
            if share > 0
        ]
        empty = "none" if value.value is None else None
        bar = element("span", bars, class_="meter", title=value.hint or None)
        return element("td", shown, bar, data_v=_sorted_by(value.value), class_=empty)
    classes = [*(["l"] if is_left else []), *(["none"] if value is None else [])]
    return element(
        "td",
        figure_or_markup(value),
        class_=" ".join(classes) or None,
        data_v=None if is_left else _sorted_by(value),
    )


def _sorted_by(value: Any) -> str | None:
    """The number that a cell sorts by: none for words, empty for what was not measured."""
    if value is None:
        return ""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return repr(value) if is_number else None


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    left: Sequence[int] = (0,),
    *,
    ids: Sequence[str] = (),
    hints: Mapping[str, str] | None = None,
    is_sortable: bool = True,
    class_: str = "",
) -> Markup:
    """`head` over `rows`. Columns in `left` hold names; `ids` are the rows' anchors; `hints` are
    tooltips of heads.
    """
    heads = [
        element(
            "th",
            title,
            class_="l" if i in left else None,
            scope="col",
            data_sort=is_sortable or None,
            title=(hints or {}).get(title),
        )
        for i, title in enumerate(head)
    ]
    lines = [
        element(
            "tr",
            [cell(value, i in left) for i, value in enumerate(row)],
            id=ids[k] if k < len(ids) else None,
        )
        for k, row in enumerate(rows)
    ]
    made = element(
        "table",
        element("thead", element("tr", heads)),
        element("tbody", lines),
        class_=class_ or None,
    )
    return element("div", made, class_="wide")


def facts(rows: Iterable[tuple[str, Any]]) -> Markup:
    """Two columns: what, and what it is. Rows whose value is None are left out."""
    lines = [
        element("tr", element("td", what), element("td", figure_or_markup(value)))
        for what, value in rows
        if value is not None
    ]
    return element("table", element("tbody", lines), class_="facts")


def figure_or_markup(value: Any) -> Markup | str:
    """Markup as it is, everything else as a figure."""
    return value if isinstance(value, Markup) else figure(value)


def stack(parts: Sequence[tuple[str, int]], whole: int) -> Markup:
    """One bar of `whole` cut into named `parts`, with its key."""
    bars = [
        element(
            "i",
            class_=f"f{i % 8}",
            style=f"width:{100 * value / whole:.4g}%" if whole else "width:0",
            title=f"{what}: {value:,}",
        )
        for i, (what, value) in enumerate(parts)
        if value
    ]
    keys = [
        element("li", f"{what} {value:,}", style=f"--swatch:var(--c{i % 8})")
        for i, (what, value) in enumerate(parts)
        if value
    ]
    return Markup(element("div", bars, class_="stack") + element("ul", keys, class_="key"))
