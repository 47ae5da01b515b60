"""The pages in a real browser, light and dark: they draw, say nothing on the console, ask for
nothing from the network, and run no code that a model's names bring along.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from report import pages
from report.hostile import PAYLOAD, hostile

ELEMENTS = {  # what each kind has to draw, as selectors
    "inspect": (".tile", ".layers circle", ".layers path", ".card .hist", ".chip"),
    "compare": (".tile", ".layers circle", ".card .hist.b", ".meter i, .tile.good"),
    "quantized": (".tile.bad", ".card .hist.b", ".meter i.b"),
    "plan": ("figure svg .place", ".bound", ".peak", ".live", "figure + figure"),
    "streamed": ("figure svg .place", "[fill^='url(#ring']", ".place.long"),
    "build": (".tile", ".stack i", ".layers circle", "figure svg .place", ".meter i"),
    "bench": (".tile", ".layers circle", ".meter i"),
    "evaluate": (".tile", ".confusion td.hit", ".meter i"),
    "check": (".tile.bad", ".finding.error", ".finding code"),
    "repair": (".tile", ".finding h3", "th[data-sort]"),
    "anything": (".loose td", "th[data-sort]"),
    "split": (".tile", ".meter i.b", "th[data-sort]"),
}
CONTRAST = """(() => {
  const parse = (c) => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] === 255) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('h1,h2,h3,p,dt,dd,td,th,a,li,span,code,small')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !e.getClientRects().length) continue;
    const [x, y] = [light(parse(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", pages.KINDS)
def test_page_draws_alone(kind: str, theme: str, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / f"{kind}.html"
    file.write_text(pages.report(kind).to_html(), encoding="utf-8")
    seen = browser.open(file, theme)
    assert not seen.problems
    assert seen.requests == [file.resolve().as_uri()]
    for selector in ELEMENTS[kind]:
        assert browser.value(f"document.querySelectorAll({selector!r}).length"), selector
    assert browser.value("getComputedStyle(document.body).colorScheme") == "light dark"
    red = browser.value("parseInt(getComputedStyle(document.body).backgroundColor.slice(4))")
    assert red < 40 if theme == "dark" else red > 230
    ratio, where = browser.value(CONTRAST)
    assert ratio >= 4.5, where  # WCAG 2.1 AA
    assert browser.value("document.documentElement.scrollWidth") <= 1280
    assert browser.screenshot().startswith(b"\x89PNG")


def test_narrow_screens_scroll_no_sideways(browser: Browser, tmp_path: Path) -> None:
    for kind in ("inspect", "plan"):
        file = tmp_path / f"{kind}.html"
        file.write_text(pages.report(kind).to_html(), encoding="utf-8")
        browser.open(file, width=400)
        assert browser.value("document.documentElement.scrollWidth") <= 400, kind


def test_tables_sort_and_come_back(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "inspect.html"
    file.write_text(pages.report("inspect").to_html(), encoding="utf-8")
    browser.open(file)
    column = (
        "[...document.querySelectorAll('.layers tbody tr')].map(r => r.cells[7].dataset.v)"
        ".map(v => v === '' ? null : Number(v))"
    )
    head = "document.querySelectorAll('.layers th')[7]"
    given = browser.value(column)
    browser.value(f"{head}.click()")
    numbers = [v for v in given if v is not None]
    empty = [None] * (len(given) - len(numbers))
    assert browser.value(column) == sorted(numbers, reverse=True) + empty
    assert (
        browser.value("getComputedStyle(document.querySelector('.lanes path')).display") == "none"
    )
    browser.value(f"{head}.click()")
    assert browser.value(column) == sorted(numbers) + empty
    browser.value(f"{head}.click()")
    assert browser.value(column) == given


@pytest.mark.parametrize("kind", [k for k in pages.KINDS if k != "bench"])
def test_names_are_never_code(kind: str, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "hostile.html"
    file.write_text(hostile(kind).to_html(), encoding="utf-8")
    seen = browser.open(file)
    assert not seen.problems
    assert seen.requests == [file.resolve().as_uri()]
    assert browser.value("window.hacked") is None
    assert browser.value("document.querySelectorAll('img, iframe, object').length") == 0
    assert browser.value("document.scripts.length") == 1
    assert PAYLOAD in browser.value(
        "document.documentElement.outerHTML + document.body.textContent"
    )


def test_a_notebook_shows_the_page_in_a_frame(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "notebook.html"
    shown = pages.model()._repr_html_() + pages.report("plan")._repr_html_()
    file.write_text(f"<!doctype html><title>notebook</title>{shown}", encoding="utf-8")
    seen = browser.open(file)
    assert not seen.problems
    assert browser.value("document.querySelectorAll('iframe').length") == 2
    assert all(r == file.resolve().as_uri() or r.startswith("about:") for r in seen.requests)


def test_links_in_a_frame_stay_on_the_page(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "notebook.html"
    shown = pages.report("plan")._repr_html_().replace(' sandbox="allow-scripts"', "")
    file.write_text(f"<!doctype html><title>notebook</title>{shown}", encoding="utf-8")
    browser.open(file)
    browser.value("frames[0].document.querySelector('nav a[href=\"#buffers\"]').click()")
    browser.value("new Promise(done => setTimeout(done, 200))")
    assert browser.value("frames[0].location.href") == "about:srcdoc#buffers"
    assert browser.value("frames[0].document.querySelector(':target h2').textContent") == "Buffers"
