"""The page of `thimble inspect`: the graph layer by layer, and how its weights are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thimble.report.base import bytes_figure, figure
from thimble.report.html.findings import findings
from thimble.report.html.histogram import counted, ends, picture
from thimble.report.html.layers import CONSTANTS, HEAD, HEAD_LEFT, chip, graph_rows, layer_table
from thimble.report.html.markup import Markup, element
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import facts, meters, shape, table
from thimble.report.inspect import InspectLayer, InspectReport, PortInfo

if TYPE_CHECKING:
    import numpy as np

    from thimble.graph import Graph, Tensor

FEWEST_VALUES = 24  # smaller constants get no picture
MOST_CARDS = 240
MOST_VALUES = 1 << 20  # of a large constant every n-th value is counted


def page(report: InspectReport) -> Page:
    """What is in the file."""
    how = report.provenance
    tiles = [
        Tile("layers", figure(len(report.layers)), "", _ops(report)),
        Tile("multiply-accumulates", figure(report.macs), "", how.get("macs", "")),
        Tile("constants", figure(report.weights_bytes), "bytes", how.get("weights_bytes", "")),
    ]
    if report.activation_peak_bytes is not None:
        least = how.get("activation_peak_bytes", "")
        tiles.append(Tile("working RAM", figure(report.activation_peak_bytes), "bytes", least))
    if report.file_bytes is not None:
        digest = f"SHA-256 {report.sha256[:16]}…" if report.sha256 else ""
        tiles.append(Tile("file", figure(report.file_bytes), "bytes", digest))
    return Page(
        "inspect",
        report.model,
        report.description,
        tiles,
        [
            *findings(report.findings),
            _ports(report),
            _layers(report),
            *_weights(report.graph),
            _work(report),
            *_file(report),
            *provenance(how),
        ],
    )


def _ops(report: InspectReport) -> str:
    refused = sum(not x.supported for x in report.layers)
    kinds = f"{len(report.ops)} kinds of op"
    return f"{kinds}, {refused} layers not supported" if refused else f"{kinds}, all supported"


def _ports(report: InspectReport) -> Section:
    def row(direction: str, p: PortInfo) -> tuple[Any, ...]:
        zero = p.zero_point or 0
        moved = f"(q {'−' if zero > 0 else '+'} {abs(zero)})" if zero else "q"
        real = None if p.scale is None else f"{p.scale:.6g} · {moved}"
        return direction, element("code", p.name), shape(p.shape), p.dtype, real

    rows = [row("input", p) for p in report.inputs] + [row("output", p) for p in report.outputs]
    head = ("", "name", "shape", "dtype", "real value")
    made = table(head, rows, (0, 1, 2, 3, 4), is_sortable=False)
    return Section("ports", "Inputs and outputs", made)


def _layers(report: InspectReport) -> Section:
    work = dict(zip(_keys(report), meters([x.macs for x in report.layers])))
    written = dict(zip(_keys(report), meters([x.output_bytes for x in report.layers])))

    def cells(x: InspectLayer) -> Sequence[Any]:
        return work[x.index], written[x.index], None if x.supported else "not supported"

    def hint(x: InspectLayer) -> str:
        shapes = ", ".join(shape(s) for s in x.input_shapes)
        options = [f"{key}: {value}" for key, value in x.options.items()]
        return "\n".join([f"inputs {shapes}", *options])

    head = [*HEAD, CONSTANTS, "MACs", "output, B"]
    left = [*HEAD_LEFT]
    blank = 2
    if any(not x.supported for x in report.layers):
        head, left, blank = [*head, ""], [*left, len(head)], 3
    drawn = set(list(_users(report.graph).values())[:MOST_CARDS]) if report.graph else set()

    def link(x: InspectLayer) -> str:
        return f"#weights-{x.index}" if x.index in drawn else ""

    def shown(x: InspectLayer) -> Sequence[Any]:
        return cells(x)[:blank]

    rows = graph_rows(report.graph, report.layers, shown, blank, hint, constants=True, link=link)
    lead = "In the order of execution; the lines on the left show which layer feeds which."
    return Section("layers", "Graph", layer_table(head, rows, left), lead)


def _keys(report: InspectReport) -> list[int]:
    return [x.index for x in report.layers]


def _weights(graph: Graph | None) -> list[Section]:
    if graph is None:
        return []
    users = _users(graph)
    if not users:
        return []
    first = {user: t for t, user in reversed(users.items())}
    drawn = list(users.items())[:MOST_CARDS]
    cards = [_card(graph, t, user, first[user] == t) for t, user in drawn]
    lead = "How often each stored value occurs; the height is the square root of the count."
    if len(users) > MOST_CARDS:
        lead += f" The first {MOST_CARDS} of {len(users)} constants."
    return [Section("weights", "Constants", element("div", cards, class_="cards"), lead)]


def _users(graph: Graph) -> dict[int, int]:
    """Constant with a picture -> the first node that reads it."""
    users: dict[int, int] = {}
    for i, node in enumerate(graph.nodes):
        for t in node.inputs:
            if t >= 0 and graph.tensors[t].data is not None and _is_shown(graph.tensors[t]):
                users.setdefault(t, i)
    return users


def _is_shown(tensor: Tensor) -> bool:
    """Weights, not biases, shapes and axes."""
    is_weight = len(tensor.shape) > 1 and tensor.dtype not in ("int32", "int64", "bool")
    return is_weight and tensor.elements >= FEWEST_VALUES


def _card(graph: Graph, index: int, user: int, is_first: bool) -> Markup:
    tensor = graph.tensors[index]
    values = _values(tensor)
    node = graph.nodes[user]
    title = f"{user} {node.op.name}"
    kind = f"{shape(tensor.shape)} {tensor.dtype}"
    shown: list[Markup | None] = []
    if values is not None and values.size:
        stride = -(-values.size // MOST_VALUES)
        low, high, counts = counted(values.reshape(-1)[::stride])
        range_ = float(values.min()), float(values.max())
        shown = [picture(low, high, counts), ends(*range_, _at_ends(values))]
    link = element("a", title, href=f"#layer-{user}")
    return element(
        "div",
        element("h3", link, " ", tensor.name, title=tensor.name),
        element("p", kind),
        element("p", _real(tensor, values)),
        shown,
        class_="card",
        id=f"weights-{user}" if is_first else None,
    )


def _values(tensor: Tensor) -> np.ndarray | None:
    """The stored numbers of a constant, None where NumPy has no such dtype."""
    from thimble.ops.contract import int_weights

    data = tensor.data if tensor.dtype != "int4" else int_weights(tensor)
    is_plain = data is not None and data.size == tensor.elements and data.dtype.kind in "iuf"
    return data if is_plain else None


def _at_ends(values: np.ndarray) -> str:
    import numpy as np

    zeros = float((values == 0).mean())
    parts = [f"{zeros:.1%} zero"] if zeros else []
    if values.dtype.kind in "iu" and values.dtype.itemsize == 1:
        limits = np.iinfo(values.dtype)
        clipped = float(((values >= limits.max) | (values <= limits.min + 1)).mean())
        parts += [f"{clipped:.2%} at the ends"] if clipped else []
    return ", ".join(parts)


def _real(tensor: Tensor, values: np.ndarray | None) -> str:
    quant = tensor.quant
    if quant is None or not len(quant.scale):
        return "not quantized"
    if quant.is_per_channel:
        least, most = float(quant.scale.min()), float(quant.scale.max())
        return f"{len(quant.scale)} scales, {least:.3g} to {most:.3g}"
    scale, zero_point = float(quant.scale[0]), int(quant.zero_point[0])
    if values is None or not values.size:
        return f"scale {scale:.4g}"
    low = scale * (float(values.min()) - zero_point)
    high = scale * (float(values.max()) - zero_point)
    return f"scale {scale:.4g}, real {low:.3g} to {high:.3g}"


def _work(report: InspectReport) -> Section:
    work: dict[str, int] = {}
    held: dict[str, int] = {}
    for x in report.layers:
        work[x.op] = work.get(x.op, 0) + (x.macs or 0)
        held[x.op] = held.get(x.op, 0) + x.weights_bytes
    ops = list(report.ops)
    bars = zip(meters([work.get(op, 0) for op in ops]), meters([held.get(op, 0) for op in ops]))
    rows = [(chip(op), report.ops[op], *pair) for op, pair in zip(ops, bars)]
    return Section("ops", "Ops", table(("op", "layers", "MACs", "constants, B"), rows))


def _file(report: InspectReport) -> list[Section]:
    rows: list[tuple[str, Any]] = [
        ("file", bytes_figure(report.file_bytes)),
        ("SHA-256", None if report.sha256 is None else element("code", report.sha256)),
        ("description", report.description or None),
        ("state", bytes_figure(report.state_bytes) if report.state_bytes else None),
        ("subgraphs", report.subgraphs if report.subgraphs > 1 else None),
        ("signatures", ", ".join(report.signatures) or None),
        *((f"metadata {key}", str(value)) for key, value in report.metadata.items()),
    ]
    if all(value is None for _, value in rows):
        return []
    return [Section("file", "File", facts(rows))]
