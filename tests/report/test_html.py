"""Pages as text: escaping, determinism, size, what the JSON leaves out, `--html` of the verbs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report import pages
from report.hostile import PAYLOAD, hostile

import thimble
from thimble.cli import execute
from thimble.demo import FOLDER, load_arrays
from thimble.report.html import page_of
from thimble.report.html.layers import segments
from thimble.report.html.markup import VOID, Markup, element, prose
from thimble.report.html.table import stack, table

HERE = [kind for kind in pages.KINDS if kind != "bench"]


class Elements(HTMLParser):
    """Start tags, and whether every one is closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Elements:
    found = Elements()
    found.feed(text)
    found.close()
    assert not found.open
    return found


@given(st.text())
def test_text_and_attributes_are_escaped(given_text: str) -> None:
    found = parsed(element("p", given_text, title=given_text))
    assert found.tags == ["p"]
    assert [name for name, _ in found.attributes] == ["title"]
    assert parsed(prose(given_text)).tags in ([], ["code"] * (given_text.count("`") // 2))


def test_markup_is_kept_and_numbers_are_short() -> None:
    assert element("b", Markup("<i>x</i>"), 3, None) == "<b><i>x</i>3</b>"
    assert element("rect", x=1.50001, y=2.0, hidden=None) == '<rect x="1.5" y="2"></rect>'
    assert "\\u202e" in element("p", "a\u202eb")  # text that runs backwards shows as its number


@pytest.mark.parametrize("kind", HERE)
def test_page_is_one_whole_small_file(kind: str) -> None:
    text = pages.report(kind).to_html()
    found = parsed(text)
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert not {"link", "img", "iframe", "object", "embed", "base"} & set(found.tags)
    links = [value for name, value in found.attributes if name in ("href", "src")]
    assert all(link is not None and link.startswith("#") for link in links)
    anchors = {value for name, value in found.attributes if name == "id"}
    assert {link[1:] for link in links if link} <= anchors
    assert "http:" not in text
    assert "https:" not in text
    assert len(text) < 1_000_000
    assert text == pages.report(kind).to_html()


@pytest.mark.parametrize("kind", HERE)
def test_hostile_names_stay_text(kind: str) -> None:
    plain, poisoned = (parsed(r.to_html()) for r in (pages.report(kind), hostile(kind)))
    assert set(poisoned.tags) <= set(plain.tags) | {"code", "ul", "li"}
    assert poisoned.tags.count("script") == 1
    assert not [name for name, _ in poisoned.attributes if name.startswith("on")]
    assert PAYLOAD[:9] not in hostile(kind).to_html().split("</main>")[0].split("<main>")[1]


@pytest.mark.parametrize("kind", pages.KINDS)
def test_pictures_are_not_in_the_json(kind: str) -> None:
    if kind == "bench":
        pages.require(pages.TARGET)
    given_fields = json.loads(pages.report(kind).to_json())
    assert not {"graph", "spreads", "memory"} & set(given_fields)


def test_every_figure_says_how_it_was_got() -> None:
    for kind in HERE:
        report = pages.report(kind)
        how = getattr(report, "provenance", {})
        if kind == "anything":  # a list, no figures
            continue
        assert how, kind
        text = page_of(report).sections[-1]
        assert text.key == "provenance", kind
        for figure in how:
            assert figure in str(text.body), (kind, figure)


def test_lanes_follow_the_graph() -> None:
    found = segments([[], [0], [1], [0, 2], [3]])  # a residual: 0 feeds 1 and 3
    assert [s.lane for s in found] == [0, 0, 0, 0, 0]
    assert found[1].passing == [(0, 1)]  # what 3 needs later moves aside
    assert sorted(found[3].arriving) == [0, 1]
    assert found[4].arriving == [0]
    assert not found[4].leaving


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=31))
def test_lines_of_rows_meet(drawn: list[list[int]]) -> None:
    feeds = [[s for s in row if s < i] for i, row in enumerate(drawn)]
    above: set[int] = set()
    for number, (row, s) in enumerate(zip(feeds, segments(feeds))):
        assert set(s.arriving) | {a for a, _ in s.passing} == above
        assert len(s.arriving) == len(set(row))
        below = [b for _, b in s.passing] + list(s.leaving)
        assert len(below) == len(set(below))  # two values never share a lane
        assert bool(s.leaving) == any(number in later for later in feeds[number + 1 :])
        above = set(below)
    assert not above


def test_tables_say_what_they_sort_by() -> None:
    made = table(("name", "n"), [("a", 1234), ("b", None), ("c", 0.5)], (0,))
    assert re.findall(r'data-v="([^"]*)"', made) == ["1234", "", "0.5"]
    assert "1,234" in made
    assert "data-sort" in made
    assert stack([("a", 1), ("none", 0)], 1).count("<i ") == 1


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes((FOLDER / "keywords.tflite").read_bytes())
    given_data = load_arrays("labelled.npz")
    np.savez("data.npz", x=given_data["x"][:4], y=given_data["y"][:4])
    return tmp_path


VERBS = {
    "inspect": "model.tflite",
    "compare": "model.tflite model.tflite@host --samples 1",
    "plan": "model.tflite",
    "bench": "model.tflite --on program --repeats 1",
    "evaluate": "model.tflite --data data.npz --on program",
    "repair": "model.tflite -o repaired.tflite",
    "check": "model.tflite --format junit",
}


@pytest.mark.parametrize("verb", VERBS)
def test_verbs_write_the_page(verb: str, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given_options = [*VERBS[verb].split(), "--html", "out/page.html", "--json"]
    assert execute([verb, *given_options]) in (0, 1)
    assert capsys.readouterr().out.lstrip()[0] in "{<"
    assert "keywords" not in (text := (work / "out" / "page.html").read_text())
    assert f"<b>thimble</b> {verb}" in text
    assert text.endswith("</html>\n")
    assert [p.name for p in (work / "out").iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_written_is_refused_first(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["inspect", "model.tflite", "--html", "."]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_build_writes_the_page_into_its_folder(work: Path) -> None:
    report = thimble.build(str(work / "model.tflite"), "cortex-m4", str(work / "fw"), samples=1)
    text = (work / "fw" / "report.html").read_text()
    assert "report.html" in report.files
    assert text == report.to_html()
    assert "TFLM&#x27;s greedy planner" in text


def test_notebooks_show_the_same() -> None:
    shown = thimble.inspect(pages.model())._repr_html_()
    found = parsed(shown)
    assert found.tags == ["iframe"]
    document = dict(found.attributes)["srcdoc"]
    assert document == thimble.inspect(pages.model()).to_html()
    assert parsed(pages.model()._repr_html_()).tags == ["iframe"]
    assert parsed(pages.model().graph._repr_html_()).tags == ["iframe"]
