"""Which tensor of one graph is which of the other: by name, by structure, by weights, by values.

Both graphs are first brought to one form by the exact passes (fused padding, bias, activation,
dilation), so that a fused layer faces a fused layer. Candidates are tensors with as many elements;
their scores spread to their neighbours, and the best pairs that do not cross in the graph are
kept. What is left unmatched becomes part of the layer around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thimble.errors import ThimbleError
from thimble.explain.values import constant, real
from thimble.graph import Graph, Model
from thimble.passes import UNSHRUNK, run_passes

Array = np.ndarray

FAMILIES = {
    "CONV_2D": "linear",
    "DEPTHWISE_CONV_2D": "linear",
    "FULLY_CONNECTED": "linear",
    "BATCH_MATMUL": "linear",
    "TRANSPOSE_CONV": "linear",
    "AVERAGE_POOL_2D": "pool",
    "MAX_POOL_2D": "pool",
    "MEAN": "pool",
    "ADD": "sum",
    "SUB": "sum",
    "RESHAPE": "shape",
    "SQUEEZE": "shape",
    "EXPAND_DIMS": "shape",
    "RELU": "activation",
    "RELU6": "activation",
    "RELU_N1_TO_1": "activation",
    "LEAKY_RELU": "activation",
    "PRELU": "activation",
    "HARD_SWISH": "activation",
}
LEAST = 3.0  # of a pair's score: one strong reason, or two weak ones
MAX_PAIRS = 40_000  # above it names alone decide
ROUNDS = 3


@dataclass(frozen=True)
class Node:
    """A tensor that is computed at run time, seen from outside."""

    name: str
    op: str  # of its producer; "INPUT" for a graph input
    elements: int
    place: float  # depth / depth of the graph
    weights: tuple[Array, ...]  # constants of the producer, real values
    inputs: tuple[int, ...]  # positions in the list of nodes
    above: int  # bit set of the positions it is computed from


def normal_form(model: Model) -> Model:
    """`model` with padding, bias and activation fused; as it is where a pass refuses it."""
    try:
        return run_passes(model, UNSHRUNK)
    except ThimbleError:
        return model


def outline(graph: Graph) -> list[Node]:
    """The run-time tensors of `graph` in the order in which they are computed."""
    position: dict[int, int] = {}
    nodes: list[Node] = []
    depth: list[int] = []

    def add(t: int, op: str, weights: tuple[Array, ...], inputs: tuple[int, ...]) -> None:
        tensor = graph.tensors[t]
        above = 0
        for i in inputs:
            above |= nodes[i].above | 1 << i
        depth.append(1 + max((depth[i] for i in inputs), default=-1))
        position[t] = len(nodes)
        nodes.append(Node(tensor.name, op, tensor.elements, 0.0, weights, inputs, above))

    for t in graph.inputs:
        if t not in position:
            add(t, "INPUT", (), ())
    for node in graph.nodes:
        inputs = tuple(dict.fromkeys(position[t] for t in node.inputs if t in position))
        weights = tuple(
            constant(graph.tensors[t])[0]
            for t in node.inputs
            if t >= 0
            and graph.tensors[t].data is not None
            and graph.tensors[t].elements > 1
            and graph.tensors[t].dtype not in ("string", "bool", "int64")
        )
        for t in node.outputs:
            if t >= 0 and t not in position:
                add(t, node.op.name, weights, inputs)
    longest = max(depth, default=0) or 1
    return [
        Node(n.name, n.op, n.elements, d / longest, n.weights, n.inputs, n.above)
        for n, d in zip(nodes, depth)
    ]


def _cosine(x: Array, y: Array) -> float:
    x, y = x.reshape(-1), y.reshape(-1)
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.dot(x, y)) / size if size and np.isfinite(size) else 0.0


def _like_weights(x: Node, y: Node) -> float:
    """How alike the constants of two producers are: -1 (other sizes) to 1."""
    if not x.weights and not y.weights:
        return 0.0
    if [w.size for w in x.weights] != [w.size for w in y.weights]:
        return -0.5
    flat = [abs(_cosine(v, w)) for v, w in zip(x.weights, y.weights)]
    return max(0.1, float(np.mean(flat)))


def _like_values(x: Array | None, y: Array | None) -> float:
    """Correlation of two tensors of one sample, 0 where there is nothing to correlate."""
    if x is None or y is None or x.size != y.size or x.size < 4:
        return 0.0
    x, y = x.reshape(-1), y.reshape(-1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return 0.0
    return max(0.0, _cosine(x - x.mean(), y - y.mean()))


def _own_score(x: Node, y: Node, values_x: Array | None, values_y: Array | None) -> float:
    score = 3.0 * (x.name == y.name and bool(x.name))
    if x.op == y.op:
        score += 1.5
    elif FAMILIES.get(x.op, x.op) == FAMILIES.get(y.op, y.op):
        score += 1.0
    else:
        score -= 1.5
    score += 3.0 * _like_weights(x, y)
    score += 2.5 * _like_values(values_x, values_y) ** 2
    return score - 3.0 * abs(x.place - y.place)


def match_outlines(
    a: list[Node], b: list[Node], values_a: Mapping[str, Array], values_b: Mapping[str, Array]
) -> dict[int, int]:
    """position in b -> position in a of the same tensor; see the file's docstring."""
    by_size: dict[int, list[int]] = {}
    for i, node in enumerate(a):
        by_size.setdefault(node.elements, []).append(i)
    candidates = [
        (i, j)
        for j, node in enumerate(b)
        for i in by_size.get(node.elements, [])
        if (a[i].op == "INPUT") == (node.op == "INPUT")
    ]
    if len(candidates) > MAX_PAIRS:
        candidates = [(i, j) for i, j in candidates if a[i].name == b[j].name]
    own = {
        (i, j): _own_score(a[i], b[j], values_a.get(a[i].name), values_b.get(b[j].name))
        for i, j in candidates
    }
    below_a, below_b = _consumers(a), _consumers(b)
    score = dict(own)
    for _ in range(ROUNDS):
        score = {
            (i, j): own[i, j]
            + 0.25 * _support(score, a[i].inputs, b[j].inputs)
            + 0.25 * _support(score, below_a[i], below_b[j])
            for i, j in own
        }
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for (i, j), value in sorted(score.items(), key=lambda item: -item[1]):
        if value < LEAST or j in pairs or i in taken:
            continue
        crosses = any(
            ((a[i].above >> x) & 1) != ((b[j].above >> y) & 1)
            and (
                ((b[j].above >> y) & 1 and (a[x].above >> i) & 1)
                or ((a[i].above >> x) & 1 and (b[y].above >> j) & 1)
            )
            for y, x in pairs.items()
        )
        if not crosses:
            pairs[j] = i
            taken.add(i)
    return pairs


def _closer(
    pairs: dict[int, int],
    a: list[Node],
    b: list[Node],
    values_a: Mapping[str, Array],
    values_b: Mapping[str, Array],
) -> dict[int, int]:
    """The pairs, each moved down an unmatched chain where the values there are nearer.

    A bias or activation that is a layer of its own in one graph and fused in the other leaves two
    candidates of the same size; the values tell which is the same tensor.
    """
    below_a, below_b = _consumers(a), _consumers(b)
    moved: dict[int, int] = {}
    taken_a, taken_b = set(pairs.values()), set(pairs)
    for j, i in pairs.items():
        best, least = (j, i), _distance(values_a.get(a[i].name), values_b.get(b[j].name))
        down_b = _chain(j, b, below_b, taken_b)
        down_a = _chain(i, a, below_a, taken_a)
        for candidate in [*((k, i) for k in down_b), *((j, k) for k in down_a)]:
            x, y = a[candidate[1]], b[candidate[0]]
            distance = _distance(values_a.get(x.name), values_b.get(y.name))
            if distance < 0.5 * least:
                best, least = candidate, distance
        moved[best[0]] = best[1]
    return moved


def _chain(
    start: int, nodes: list[Node], below: list[tuple[int, ...]], taken: set[int]
) -> list[int]:
    """The tensors that follow `start` one by one, of its size and not matched."""
    found = []
    at = start
    while len(below[at]) == 1:
        at = below[at][0]
        run_time = nodes[at].inputs
        if at in taken or nodes[at].elements != nodes[start].elements or len(run_time) > 1:
            break
        found.append(at)
    return found


def _distance(x: Array | None, y: Array | None) -> float:
    """|x - y| / |x|; infinite where it cannot be told."""
    if x is None or y is None or x.size != y.size or not x.any():
        return float("inf")
    gap = float(np.linalg.norm(x.reshape(-1) - y.reshape(-1)) / np.linalg.norm(x))
    return gap if np.isfinite(gap) else float("inf")


def _consumers(nodes: list[Node]) -> list[tuple[int, ...]]:
    below: list[list[int]] = [[] for _ in nodes]
    for j, node in enumerate(nodes):
        for i in node.inputs:
            below[i].append(j)
    return [tuple(x) for x in below]


def _support(
    score: Mapping[tuple[int, int], float], xs: tuple[int, ...], ys: tuple[int, ...]
) -> float:
    """Mean over `ys` of the best partner's score among `xs`, bounded to [0, 8]."""
    if not xs or not ys:
        return 0.0
    best = (max((score.get((x, y), 0.0) for x in xs), default=0.0) for y in ys)
    return float(np.mean([min(max(value, 0.0), 8.0) for value in best]))


def match_tensors(
    a: Model, b: Model, trace_a: Mapping[str, Array], trace_b: Mapping[str, Array]
) -> dict[str, str]:
    """name of a run-time tensor of `b` -> name of the same tensor of `a`.

    `trace_a` and `trace_b` hold tensors of one sample by name, for the comparison by values.
    """
    if a is b or _same_outline(a.graph, b.graph):
        return {t.name: t.name for t in b.graph.tensors if t.data is None}
    one, two = normal_form(a), normal_form(b)
    nodes_a, nodes_b = outline(one.graph), outline(two.graph)
    values_a, values_b = _values(one, trace_a), _values(two, trace_b)
    pairs = match_outlines(nodes_a, nodes_b, values_a, values_b)
    pairs = _closer(pairs, nodes_a, nodes_b, values_a, values_b)
    found = {nodes_b[j].name: nodes_a[i].name for j, i in pairs.items()}
    for ports in ("inputs", "outputs"):
        ends_a, ends_b = getattr(a.graph, ports), getattr(b.graph, ports)
        if len(ends_a) == len(ends_b):
            for x, y in zip(ends_a, ends_b):
                one_end, two_end = a.graph.tensors[x], b.graph.tensors[y]
                if one_end.elements == two_end.elements:
                    found = {k: v for k, v in found.items() if v != one_end.name}
                    found[two_end.name] = one_end.name
    return found


def _same_outline(a: Graph, b: Graph) -> bool:
    """Whether both have the same tensors, ops and edges (constants and options may differ)."""
    return (
        a.inputs == b.inputs
        and a.outputs == b.outputs
        and [(t.name, t.shape, t.data is None) for t in a.tensors]
        == [(t.name, t.shape, t.data is None) for t in b.tensors]
        and [(n.op.name, n.inputs, n.outputs) for n in a.nodes]
        == [(n.op.name, n.inputs, n.outputs) for n in b.nodes]
    )


def _values(model: Model, trace: Mapping[str, Array]) -> dict[str, Array]:
    tensors = {t.name: t for t in model.graph.tensors}
    return {name: real(array, tensors[name]) for name, array in trace.items() if name in tensors}
