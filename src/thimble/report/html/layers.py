"""The graph as rows: one layer a row, joined on the left by lines that show who feeds whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from thimble.report.html.markup import Markup, element
from thimble.report.html.table import cell, name, shape

if TYPE_CHECKING:
    from thimble.graph import Graph

PITCH = 14  # pixels from lane to lane
NAME = 24  # characters of a layer's name
ROW = 35  # pixels of a row with its line: page.css says the same
MOST_LANES = 16  # wider graphs fold their last lanes into one

# What kind of work an op is decides its colour.
FAMILIES = (
    ("DEPTHWISE", 1),
    ("CONV", 0),
    ("FULLY", 4),
    ("MATMUL", 4),
    ("LSTM", 4),
    ("RNN", 4),
    ("GRU", 4),
    ("POOL", 2),
    ("MEAN", 2),
    ("SUM", 2),
    ("REDUCE", 2),
    ("SOFTMAX", 3),
    ("LOGISTIC", 3),
    ("TANH", 3),
    ("RELU", 3),
    ("SWISH", 3),
    ("QUANTIZE", 6),
    ("CAST", 6),
    ("ADD", 5),
    ("MUL", 5),
    ("SUB", 5),
    ("DIV", 5),
)


def family(op: str) -> int:
    """The colour (0..7) of an op; 7 for what only moves data."""
    return next((colour for word, colour in FAMILIES if word in op), 7)


def chip(op: str) -> Markup:
    """The op's name on its colour."""
    return element("span", op, class_=f"chip f{family(op)}")


@dataclass(frozen=True)
class Row:
    """One layer to draw: `feeds` are the rows that it reads. `cells` follow op and name."""

    key: str  # anchor
    label: str  # what the first column says: the layer's index, or nothing
    op: str
    name: str
    feeds: Sequence[int]
    cells: Sequence[Any]
    is_port: bool = False  # a model input or output
    hint: str = ""
    link: str = ""  # where more about the layer stands on the page


@dataclass(frozen=True)
class Segment:
    """The lines in one row: (lane above, lane below) that pass, that arrive, and that leave."""

    lane: int
    passing: Sequence[tuple[int, int]]
    arriving: Sequence[int]
    leaving: Sequence[int]


def segments(feeds: Sequence[Sequence[int]]) -> list[Segment]:
    """Lanes for rows that read earlier rows: a row takes the leftmost lane of its inputs, what is
    needed later as well moves aside.
    """
    uses = [0] * len(feeds)
    for row in feeds:
        for source in set(row):
            uses[source] += 1
    lanes: list[int | None] = []  # the row whose output each lane carries
    found = []

    def free(taken: Sequence[int | None], avoid: int = -1) -> int:
        return next((i for i, v in enumerate(taken) if v is None and i != avoid), len(taken))

    def put(taken: list[int | None], lane: int, source: int) -> None:
        taken.extend([None] * (lane + 1 - len(taken)))
        taken[lane] = source

    for number, row in enumerate(feeds):
        above = list(lanes)
        sources = list(dict.fromkeys(row))
        for source in sources:
            uses[source] -= 1
        arriving = [above.index(s) for s in sources if s in above]
        lane = min(arriving) if arriving else free(above)
        below: list[int | None] = [v if v is not None and uses[v] else None for v in above]
        moved = below[lane] if lane < len(below) else None
        if lane < len(below):
            below[lane] = None
        passing = [(i, i) for i, v in enumerate(below) if v is not None]
        if moved is not None:
            aside = free(below, lane)
            put(below, aside, moved)
            passing.append((lane, aside))
        leaving = []
        if uses[number]:
            put(below, lane, number)
            leaving.append(lane)
        while below and below[-1] is None:
            below.pop()
        found.append(Segment(lane, passing, arriving, leaving))
        lanes = below
    return found


def drawing(segment: Segment, width: int, colour: int) -> Markup:
    """A row's lines and dot."""

    def x(lane: int) -> int:
        return min(lane, MOST_LANES - 1) * PITCH + PITCH // 2

    def line(x0: int, y0: int, x1: int, y1: int) -> str:
        if x0 == x1:
            return f"M{x0} {y0}V{y1}"
        middle = (y0 + y1) // 2
        return f"M{x0} {y0}C{x0} {middle} {x1} {middle} {x1} {y1}"

    middle = ROW // 2
    paths = [line(x(a), 0, x(b), ROW) for a, b in segment.passing]
    paths += [line(x(a), 0, x(segment.lane), middle) for a in segment.arriving]
    paths += [line(x(segment.lane), middle, x(b), ROW) for b in segment.leaving]
    return element(
        "svg",
        element("path", d="".join(paths)) if paths else None,
        element("circle", cx=x(segment.lane), cy=middle, r=5, class_=f"f{colour}"),
        width=width,
        height=ROW,
        viewBox=f"0 0 {width} {ROW}",
        aria_hidden="true",
    )


def layer_table(
    head: Sequence[str],
    rows: Sequence[Row],
    left: Sequence[int],
    hints: Mapping[str, str] | None = None,
) -> Markup:
    """A table of layers with the graph beside it. `head` and `left` count the cells of the rows."""
    fixed = ("", "layer", "op", "name")
    drawn = segments([row.feeds for row in rows])
    lanes = [0, *(max([s.lane, *(b for _, b in s.passing)]) for s in drawn)]
    width = (min(max(lanes), MOST_LANES - 1) + 1) * PITCH + 6
    heads = [
        element(
            "th",
            title,
            class_="l" if i < len(fixed) or i - len(fixed) in left else None,
            scope="col",
            data_sort=i > 0 or None,
            title=(hints or {}).get(title),
        )
        for i, title in enumerate((*fixed, *head))
    ]
    lines = []
    for row, segment in zip(rows, drawn):
        colour = 7 if row.is_port else family(row.op)
        label = element("a", row.label, href=row.link) if row.link else row.label
        index = element("td", label, class_="l", data_v=row.label)
        op = row.op.lower() if row.is_port else chip(row.op)
        lines.append(
            element(
                "tr",
                element("td", drawing(segment, width, colour), class_="lanes"),
                index,
                element("td", op, class_="l"),
                element("td", name(row.name, NAME), class_="l"),
                [cell(value, i in left) for i, value in enumerate(row.cells)],
                id=row.key,
                class_="port" if row.is_port else None,
                title=row.hint or None,
            )
        )
    made = element(
        "table", element("thead", element("tr", heads)), element("tbody", lines), class_="layers"
    )
    return element("div", made, class_="wide")


def graph_rows(
    graph: Graph | None,
    layers: Sequence[Any],
    cells: Callable[[Any], Sequence[Any]],
    blank: int,
    hint: Callable[[Any], str] = lambda layer: "",
    *,
    constants: bool = False,
    link: Callable[[Any], str] = lambda layer: "",
) -> list[Row]:
    """Rows for `layers` (of a report: with index, op and name), joined as in `graph`.

    The cells begin with output shape, dtype and, if asked for, bytes of `constants`; `cells` gives
    the rest, `blank` of them for the graph's inputs and outputs. Nodes without a layer are seen
    through: what feeds them feeds their readers. Layers that the graph does not know stand at the
    end, joined to nothing.
    """

    shown = 3 if constants else 2

    def row(layer: Any, feeds: Sequence[int], first: Sequence[Any]) -> Row:
        values = (*first[:shown], *cells(layer))
        key = f"layer-{layer.index}"
        return Row(
            key,
            str(layer.index),
            layer.op,
            layer.name,
            feeds,
            values,
            hint=hint(layer),
            link=link(layer),
        )

    if graph is None:
        return [row(layer, (), (None, None, None)) for layer in layers]
    known = _nodes_of(graph, layers)
    rows: list[Row] = []
    sources: dict[int, list[int]] = {}  # tensor -> rows that it comes from
    for t in graph.inputs:
        sources[t] = [len(rows)]
        rows.append(_port(graph, t, "INPUT", len(rows), (), blank + shown - 2))
    for i, node in enumerate(graph.nodes):
        feeds = list(dict.fromkeys(r for t in node.inputs for r in sources.get(t, ())))
        if i in known:
            sources |= {t: [len(rows)] for t in node.outputs}
            rows.append(row(known[i], feeds, about(graph, i)))
        else:
            sources |= dict.fromkeys(node.outputs, feeds)
    for k, t in enumerate(graph.outputs):
        rows.append(_port(graph, t, "OUTPUT", k, sources.get(t, ()), blank + shown - 2))
    found = {id(layer) for layer in known.values()}
    others = [layer for layer in layers if id(layer) not in found]
    return rows + [row(layer, (), (None, None, None)) for layer in others]


def _nodes_of(graph: Graph, layers: Sequence[Any]) -> dict[int, Any]:
    """node -> layer of that name, of several the one with the node's index."""
    by_name: dict[str, list[Any]] = {}
    for layer in layers:
        by_name.setdefault(layer.name, []).append(layer)
    found = {}
    for i in range(len(graph.nodes)):
        waiting = by_name.get(graph.layer_name(i), [])
        same = next((k for k, layer in enumerate(waiting) if layer.index == i), 0)
        if waiting:
            found[i] = waiting.pop(same)
    return found


def _port(graph: Graph, index: int, op: str, number: int, feeds: Sequence[int], blank: int) -> Row:
    tensor = graph.tensors[index]
    cells = (shape(tensor.shape), tensor.dtype, *[None] * blank)
    return Row(f"{op.lower()}-{number}", "", op, tensor.name, feeds, cells, True)


def about(graph: Graph, index: int) -> tuple[str, str, int | None]:
    """(output shape, dtype, bytes of constants) of a node."""
    node = graph.nodes[index]
    outputs = [graph.tensors[t] for t in node.outputs if t >= 0]
    constants = {t for t in node.inputs if t >= 0 and graph.tensors[t].data is not None}
    held = sum(graph.tensors[t].bytes for t in constants)
    shapes = ", ".join(shape(t.shape) for t in outputs)
    return shapes, ", ".join(dict.fromkeys(t.dtype for t in outputs)), held or None


HEAD = ("output", "dtype")
CONSTANTS = "constants, B"
HEAD_LEFT = (0, 1)
