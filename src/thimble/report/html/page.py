"""The page around a report: head, style, script, key figures, sections.

One file without any reference to another. Its content security policy lets nothing be loaded and
runs no script but the one below, whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from thimble.report.html.markup import Markup, element, prose

FOLDER = Path(__file__).parent
FRAME_HEIGHT = 760  # pixels of a report in a notebook


@dataclass(frozen=True)
class Tile:
    """A key figure: what, the figure, its unit, how it was got; `tone` is good, bad or warn."""

    what: str
    value: str
    unit: str = ""
    how: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading. `key` is its anchor; `lead` a sentence below the heading."""

    key: str
    title: str
    body: Markup | Sequence[Markup]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """What a report says, in the order in which it is read."""

    kind: str  # the verb
    title: str  # the model
    subtitle: str = ""
    tiles: Sequence[Tile] = ()
    sections: Sequence[Section] = ()
    notes: Sequence[str] = ()


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _tile(tile: Tile) -> Markup:
    return element(
        "div",
        element("dt", tile.what),
        element("dd", tile.value, element("small", tile.unit) if tile.unit else None),
        element("p", prose(tile.how)) if tile.how else None,
        class_=f"tile {tile.tone}".strip(),
    )


def _section(section: Section) -> Markup:
    return element(
        "section",
        element("h2", section.title),
        element("p", prose(section.lead), class_="lead") if section.lead else None,
        section.body,
        id=section.key,
    )


def body(page: Page) -> Markup:
    """Everything between <body> and </body>."""
    links = [element("a", s.title, href=f"#{s.key}") for s in page.sections]
    header = element(
        "header",
        element("p", element("b", "thimble"), f" {page.kind}", class_="kind"),
        element("h1", page.title),
        element("p", page.subtitle, class_="subtitle") if page.subtitle else None,
        element("nav", links, aria_label="Sections") if len(links) > 1 else None,
    )
    tiles = element("dl", [_tile(t) for t in page.tiles], class_="tiles") if page.tiles else None
    notes = (
        element("ul", [element("li", prose(note)) for note in page.notes], class_="notes")
        if page.notes
        else None
    )
    return element("main", header, tiles, notes, [_section(s) for s in page.sections])


def document(page: Page) -> str:
    """The whole file."""
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        f" script-src 'sha256-{digest}'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{page.title} - thimble {page.kind}"),
        element("style", Markup(_file("page.css"))),
    )
    rest = element("body", body(page), element("script", Markup(script)))
    return f"<!doctype html>\n{element('html', head, rest, lang='en')}\n"


def frame(page: Page) -> str:
    """The page for a notebook: a frame of its own, so that neither style touches the other."""
    options: dict[str, Any] = {"sandbox": "allow-scripts", "title": f"thimble {page.kind}"}
    style = f"width:100%;height:{FRAME_HEIGHT}px;border:0"
    return element("iframe", srcdoc=document(page), style=style, **options)
