"""A graph with time as the row axis: every tensor that has a row for each moment is [1, T, S, C].

    x [1, T, C] -> PAD -> RESHAPE [1, 1, T', C] -> CONV_2D 1xK -> RESHAPE [1, T, O]
    ->   x [1, T, 1, C] -> PAD -> CONV_2D Kx1 -> [1, T, 1, O]

Exact: the same values in the same order, only shapes change (rows and columns of windows trade
places where time was the W axis). A layer whose rows are not each made of nearby rows of its
inputs (MEAN over time, FULLY_CONNECTED of a flattened window, TRANSPOSE ...) leaves time: it and
what comes after it see whole windows in the model's own shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from thimble.graph import Model
from thimble.ops.contract import NodeView
from thimble.time_stream.rewrite import Leaves, Place, Rewriter
from thimble.time_stream.rules import rule_for


@dataclass(frozen=True, eq=False)
class TimeGraph:
    """The rewritten model, its tensors that have time as rows, and where its nodes came from.

    `origin` [nodes of the rewritten graph] are nodes of the given graph. `outputs` has the Place of
    each model output that is a sequence, None for the others.
    """

    model: Model
    rows: frozenset[int]
    origin: tuple[int, ...]
    outputs: tuple[Place | None, ...]


def _visit(r: Rewriter, index: int, leave: bool) -> None:
    """Rewrite node `index`, by rows where it can be and `leave` does not forbid it."""
    r.index = index
    n = NodeView(r.old, index)
    before = len(r.tensors), len(r.nodes)
    try:
        rule = rule_for(n.node.op.name)
        if leave or rule is None or not any(t in r.rows for t in n.node.inputs):
            raise Leaves
        rule(r, n)
    except Leaves:
        r.undo(*before)
        inputs = [r.as_plain(t) for t in n.node.inputs]
        for t in n.node.outputs:
            if t >= 0:
                r.plain[t] = r.add(replace(r.old.tensors[t]))
        outputs = [r.plain[t] if t >= 0 else t for t in n.node.outputs]
        r.node(n.node.op, inputs, outputs)


def rows_are_time(model: Model, axis: int, leave: frozenset[int] = frozenset()) -> TimeGraph:
    """`model` with time as rows; `axis` is the time axis of its only input, 1 or 2.

    Nodes `leave` take whole windows, whatever they are.
    """
    graph = model.graph
    rewriter = Rewriter(graph, axis)
    for index in range(len(graph.nodes)):
        _visit(rewriter, index, index in leave)
    outputs, places = [], []
    for t in graph.outputs:
        is_sequence = t in rewriter.rows and t not in rewriter.plain
        places.append(rewriter.places[t] if is_sequence else None)
        rewriter.index = graph.producers().get(t, 0)
        outputs.append(rewriter.as_plain(t))
    new = graph.with_(
        tensors=tuple(rewriter.tensors),
        nodes=tuple(rewriter.nodes),
        inputs=(rewriter.input,),
        outputs=tuple(outputs),
    )
    return TimeGraph(
        model.with_graph(new), frozenset(rewriter.is_rows), tuple(rewriter.origin), tuple(places)
    )
