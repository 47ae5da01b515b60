"""The page of a report that has no file of its own: figures, tables and the reports in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from thimble.report.base import Report, figure
from thimble.report.html.findings import findings
from thimble.report.html.markup import Markup, element
from thimble.report.html.page import Page, Section
from thimble.report.html.provenance import provenance
from thimble.report.html.table import facts, table

MOST_ROWS = 2000


def page(report: Report) -> Page:
    """Every field of `report`: numbers and words first, then sequences of things as tables."""
    rows: list[tuple[str, Any]] = []
    sections: list[Section] = []
    notes: list[str] = []
    for field in fields(report):
        value = getattr(report, field.name)
        if field.metadata.get("is_drawn") or field.name == "provenance" or value in (None, (), []):
            continue
        if field.name in ("notes", "advice", "skipped"):
            notes += [str(note) for note in value]
        elif field.name == "findings":
            sections += findings([_mapping(f) for f in value])
        elif isinstance(value, Report):
            sections += _within(field.name, value)
        elif _is_table(value):
            sections.append(Section(field.name, words(field.name), _table(value)))
        else:
            rows.append((words(field.name), shown(value)))
    kind = type(report).__name__.removesuffix("Report").lower()
    title = str(getattr(report, "model", "") or getattr(report, "folder", "") or kind)
    first = [Section("figures", "Figures", facts(rows))] if rows else []
    how = getattr(report, "provenance", {})
    return Page(kind, title, "", (), [*first, *sections, *provenance(how)], notes)


def _within(key: str, report: Report) -> list[Section]:
    from thimble.report.html import page_of

    return [
        Section(f"{key}-{s.key}", f"{words(key)}: {s.title}", s.body, s.lead)
        for s in page_of(report).sections
    ]


def words(name: str) -> str:
    """max_abs_lsb -> Max abs lsb."""
    return name.replace("_", " ").capitalize()


def _mapping(value: Any) -> Mapping[str, Any]:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    return value if isinstance(value, Mapping) else {"message": str(value)}


def _is_table(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(v, Mapping) or is_dataclass(v) for v in value)
    )


def _table(values: Sequence[Any]) -> Markup:
    mapped = [_mapping(v) for v in values[:MOST_ROWS]]
    head = [k for k in dict.fromkeys(k for m in mapped for k in m) if k != "provenance"]
    is_number = {
        k: all(isinstance(m.get(k), (int, float, type(None))) for m in mapped) for k in head
    }
    rows = [[m.get(k) if is_number[k] else shown(m.get(k)) for k in head] for m in mapped]
    left = [i for i, k in enumerate(head) if not is_number[k]]
    return table([words(k) for k in head], rows, left, class_="loose")


def shown(value: Any) -> Markup | str | None:
    """Any value in words."""
    if value is None:
        return None
    if is_dataclass(value) and not isinstance(value, type):
        value = _mapping(value)
    if isinstance(value, Mapping):
        return Markup(
            element(
                "div", [element("div", f"{words(str(k))}: ", shown(v)) for k, v in value.items()]
            )
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(str(shown(v)) for v in value)
    return figure(value)
