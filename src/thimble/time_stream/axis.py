"""A graph with time as the row axis: every tensor that has a row for each moment is [1, T, S, C].

    x [1, T, C] -> PAD -> RESHAPE [1, 1, T', C] -> CONV_2D 1xK -> RESHAPE [1, T, O]
    ->   x [1, T, 1, C] -> PAD -> CONV_2D Kx1 -> [1, T, 1, O]

Exact: the same values in the same order, only shapes change (rows and columns of windows trade
places where time was the W axis). A layer whose rows are not each made of nearby rows of its
inputs (MEAN over time, FULLY_CONNECTED of a flattened window, TRANSPOSE ...) leaves time: it and
what comes after it see whole windows in the model's own shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from thimble.graph import Graph, Model, Node, Tensor
from thimble.ops.block_copy import ints
from thimble.ops.contract import NodeView
from thimble.ops.conv_2d import Conv2D
from thimble.ops.pad import Pad, pad_value, paddings_of
from thimble.ops.reduce import reduced_axes
from thimble.ops.reshape import Reshape
from thimble.ops.strided_slice import Cut, StridedSlice
from thimble.ops.transpose import Transpose

# fmt: off
ELEMENTWISE = frozenset({
    "ABS", "ADD", "CAST", "CEIL", "COS", "DEQUANTIZE", "DIV", "ELU", "EXP", "FLOOR", "GELU",
    "HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM", "MINIMUM", "MUL", "NEG", "POW",
    "PRELU", "QUANTIZE", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "ROUND", "RSQRT", "SIN",
    "SQRT", "SQUARE", "SQUARED_DIFFERENCE", "SUB", "TANH",
})
# fmt: on
LAST_AXIS = frozenset({"SOFTMAX", "LOG_SOFTMAX"})
WINDOWS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"})
VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
REDUCTIONS = frozenset({"MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"})


@dataclass(frozen=True)
class Place:
    """Where time is in a tensor of the model: the axis, and whether a longer H axis precedes it."""

    axis: int
    swapped: bool = False

    def rows(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape with time as rows: [1, T, S, C]."""
        if self.swapped:
            return (1, shape[2], shape[1], shape[3])
        rest = tuple(shape[self.axis + 1 :])
        return (1, shape[self.axis], prod(rest[:-1]), rest[-1] if rest else 1)

    def moved(self, shape: Sequence[int], axis: int) -> int | None:
        """The axis of `rows(shape)` that `axis` became; None where it has no axis of its own."""
        if self.swapped:
            return (0, 2, 1, 3)[axis]
        if axis == self.axis:
            return 1
        after = len(shape) - axis
        return 4 - after if axis > self.axis and after <= 2 else None


def place_in(shape: Sequence[int], time: int) -> Place | None:
    """The axis of size `time` that only ones precede, None where there is none."""
    for axis, size in enumerate(shape):
        if size == time and prod(shape[:axis]) == 1 and time > 1:
            return Place(axis)
    return None


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


class _Leaves(Exception):
    """This node needs its input as a whole window."""


class _Rewriter:
    def __init__(self, graph: Graph, axis: int):
        self.old = graph
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.origin: list[int] = []
        self.places: dict[int, Place] = {}  # old tensor -> where time is in it
        self.rows: dict[int, int] = {}  # old tensor -> new tensor [1, T, S, C]
        self.plain: dict[int, int] = {}  # old tensor -> new tensor of the same shape
        self.is_rows: set[int] = set()
        self.index = 0
        given = graph.inputs[0]
        shape = graph.tensors[given].shape
        swapped = axis == 2 and shape[1] != 1
        self.input = self.add_rows(given, Place(axis, swapped))

    # --- tensors and nodes -----------------------------------------------------------------------

    def add(self, tensor: Tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def shaped(self, old: int, shape: Sequence[int], suffix: str = "") -> Tensor:
        tensor = self.old.tensors[old]
        return replace(tensor, name=tensor.name + suffix, shape=tuple(shape), shape_signature=None)

    def add_rows(self, old: int, place: Place) -> int:
        """The new tensor [1, T, S, C] that stands for `old`."""
        new = self.add(self.shaped(old, place.rows(self.old.tensors[old].shape)))
        self.places[old], self.rows[old] = place, new
        self.is_rows.add(new)
        return new

    def node(self, op: Any, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        old = self.old.nodes[self.index]
        name = self.old.layer_name(self.index)
        self.nodes.append(
            replace(old, op=op, inputs=tuple(inputs), outputs=tuple(outputs), name=name)
        )
        self.origin.append(self.index)

    def const(self, values: Any, name: str) -> int:
        data = np.asarray(values, np.int32)
        return self.add(Tensor(name, data.shape, "int32", None, data))

    def reshape(self, x: int, y: int) -> None:
        shape = self.tensors[y].shape
        self.node(Reshape(tuple(shape)), [x, self.const(shape, "shape")], [y])

    def as_plain(self, old: int) -> int:
        """The new tensor with the shape of `old`; whole windows of time tensors."""
        if old < 0:
            return old
        if old not in self.plain:
            tensor = self.old.tensors[old]
            new = self.plain[old] = self.add(replace(tensor))
            if old in self.rows:
                if self.places[old].swapped:
                    order = self.const([0, 2, 1, 3], "order")
                    self.node(Transpose(), [self.rows[old], order], [new])
                else:
                    self.reshape(self.rows[old], new)
        return self.plain[old]

    def finish(self, old: int, place: Place, new: int) -> None:
        """`new` [1, T, ...] holds the values of `old`, in which time is at `place`."""
        wanted = place.rows(self.old.tensors[old].shape)
        self.is_rows.add(new)
        if wanted[1] == 1:  # no time left: later layers may take it as it is
            self.plain[old] = self.add(self.shaped(old, self.old.tensors[old].shape, "/last"))
            self.reshape(new, self.plain[old])
            return
        if self.tensors[new].shape != wanted:
            target = self.add_rows(old, place)
            self.reshape(new, target)
            return
        self.places[old], self.rows[old] = place, new

    # --- ops -------------------------------------------------------------------------------------

    def time_input(self, n: NodeView, i: int = 0) -> tuple[int, Place]:
        old = n.node.inputs[i]
        if old not in self.rows:
            raise _Leaves
        return self.rows[old], self.places[old]

    def like(self, n: NodeView, op: Any, inputs: Sequence[int], place: Place) -> None:
        """Append `op` with the one output of `n`, in which time is at `place`."""
        if len(n.node.outputs) != 1:
            raise _Leaves
        old = n.node.outputs[0]
        shape = op.infer([self.tensors[t] if t >= 0 else None for t in inputs])[0].shape
        self.finish_with(old, place, shape, lambda y: self.node(op, inputs, [y]))

    def finish_with(
        self, old: int, place: Place, shape: Sequence[int], emit: Callable[[int], None]
    ) -> None:
        wanted = place.rows(self.old.tensors[old].shape)
        if prod(shape) != prod(wanted) or shape[1] != wanted[1]:
            raise _Leaves
        new = self.add(self.shaped(old, shape))
        emit(new)
        self.finish(old, place, new)

    def window(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        if len(n.x().shape) != 4:
            raise _Leaves
        op: Any = n.op
        inputs = [x, *(self.as_plain(t) for t in n.node.inputs[1:])]
        if place.axis == 2:
            op = _swap_window(op)
            if "filter_height" not in vars(op):
                inputs[1] = self.swapped_weights(n)
        elif place.axis != 1:
            raise _Leaves
        self.like(n, op, inputs, place)

    def swapped_weights(self, n: NodeView) -> int:
        w = n.x(1)
        o, h, width, c = w.shape
        if w.data is None:
            raise _Leaves
        if h == 1 or width == 1:
            data = w.data.reshape((o, width, h, c)) if w.data.shape == w.shape else w.data
        elif w.data.shape == w.shape:
            data = np.ascontiguousarray(w.data.transpose(0, 2, 1, 3))
        else:
            raise _Leaves  # packed int4
        return self.add(replace(w, shape=(o, width, h, c), data=data, shape_signature=None))

    def elementwise(self, n: NodeView) -> None:
        runtime = [t for t in n.node.inputs if t >= 0 and self.old.tensors[t].data is None]
        places = {self.places[t] for t in runtime if t in self.rows}
        times = {self.tensors[self.rows[t]].shape[1] for t in runtime if t in self.rows}
        if len(places) != 1 or len(times) != 1 or any(t not in self.rows for t in runtime):
            raise _Leaves
        place = places.pop()
        inputs = [
            self.rows[t] if t in self.rows else self.broadcast_constant(n, t, place)
            for t in n.node.inputs
        ]
        self.like(n, n.op, inputs, place)

    def broadcast_constant(self, n: NodeView, old: int, place: Place) -> int:
        """A constant operand [1, 1, S, C]; the same at all times."""
        tensor, rank = self.old.tensors[old], len(n.y().shape)
        assert tensor.data is not None
        shape = (1,) * (rank - len(tensor.shape)) + tuple(tensor.shape)
        if shape[place.axis] != 1 or tensor.data.shape != tensor.shape:
            raise _Leaves
        new = (1, 1, 1, 1) if tensor.elements == 1 else place.rows(shape)
        return self.add(
            replace(tensor, shape=new, data=tensor.data.reshape(new), shape_signature=None)
        )

    def last_axis(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        if len(n.x().shape) - 1 <= place.axis:
            raise _Leaves
        self.like(n, n.op, [x], place)

    def view(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        found = place_in(n.y().shape, n.x().shape[place.axis])
        if place.swapped or found is None:
            raise _Leaves
        self.finish(n.node.outputs[0], found, x)

    def pad(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        if n.node.op.name == "PADV2":
            value = n.x(2).data
            if value is None or not np.array_equal(value.reshape(-1), pad_value(n.y())):
                raise _Leaves
        pads = [(0, 0)] * 4
        for axis, pair in enumerate(paddings_of(n.constant(1))):
            to = place.moved(n.x().shape, axis)
            if pair != (0, 0):
                if to is None:
                    raise _Leaves
                pads[to] = pair
        time, rest = pads[1], [(0, 0), (0, 0), *pads[2:]]
        if any(pair != (0, 0) for pair in rest):
            old = n.node.outputs[0]
            shape = [d + a + b for d, (a, b) in zip(self.tensors[x].shape, rest)]
            y = self.add(self.shaped(old, shape, "/columns"))
            self.node(Pad(), [x, self.const(rest, "paddings")], [y])
            self.is_rows.add(y)
            x = y
        only_time = self.const([(0, 0), time, (0, 0), (0, 0)], "paddings")
        self.like(n, Pad(), [x, only_time], place)

    def cut(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        shape = n.x().shape
        if n.node.op.name == "SLICE":
            begins, ends = ints(n.constant(1)), n.y().shape
            cuts = [Cut(b, size, 1) for b, size in zip(begins, ends)]
        else:
            op: Any = n.op
            cuts = op.cuts(shape, n.constant(1), n.constant(2), n.constant(3))
        if any(c.is_new or c.step < 1 for c in cuts):
            raise _Leaves
        limits = [(0, d, 1) for d in self.tensors[x].shape]
        for axis, c in enumerate(cuts):
            to = place.moved(shape, axis)
            if (c.first, c.count, c.step) != (0, shape[axis], 1):
                if to is None:
                    raise _Leaves
                limits[to] = (c.first, c.first + (c.count - 1) * c.step + 1, c.step)
        new_shape = tuple(-(-(end - begin) // step) for begin, end, step in limits)
        old = n.node.outputs[0]
        words = [self.const(column, "slice") for column in zip(*limits)]
        kept = [axis for axis, c in enumerate(cuts) if c.kept]
        y = self.add(self.shaped(old, new_shape, "/rows"))
        if new_shape[1] == 1:
            self.node(StridedSlice(), [x, *words], [y])
            self.is_rows.add(y)
            self.plain[old] = self.add(replace(self.old.tensors[old]))
            if place.swapped:
                raise _Leaves
            self.reshape(y, self.plain[old])
            return
        if place.axis not in kept or (place.swapped and len(kept) != 4):
            raise _Leaves
        self.node(StridedSlice(), [x, *words], [y])
        self.finish(old, Place(kept.index(place.axis), place.swapped), y)

    def concatenation(self, n: NodeView) -> None:
        op: Any = n.op
        found = [self.time_input(n, i) for i in range(len(n.node.inputs))]
        place = found[0][1]
        to = place.moved(n.y().shape, op.axis % len(n.y().shape))
        if to in (None, 0, 1) or any(p != place for _, p in found):
            raise _Leaves
        self.like(n, replace(op, axis=to), [x for x, _ in found], place)

    def reduction(self, n: NodeView) -> None:
        x, place = self.time_input(n)
        op: Any = n.op
        shape = n.x().shape
        axes = reduced_axes(n.constant(1), len(shape))
        moved = [place.moved(shape, a) for a in axes]
        if 1 in moved or None in moved or 0 in moved:
            raise _Leaves
        kept = (
            range(len(shape)) if op.keep_dims else [a for a in range(len(shape)) if a not in axes]
        )
        if place.swapped and not op.keep_dims:
            raise _Leaves
        after = Place(list(kept).index(place.axis), place.swapped)
        inputs = [x, self.const(sorted(m for m in moved if m is not None), "axes")]
        self.like(n, replace(op, keep_dims=True), inputs, after)

    def fully_connected(self, n: NodeView) -> None:
        """A dense layer on every row alone is a 1x1 convolution, with the same multipliers."""
        x, place = self.time_input(n)
        op: Any = n.op
        w, rows = n.x(1), self.tensors[x].shape
        shape = n.y().shape
        last = place.axis == len(shape) - 2 and shape[place.axis] == rows[1]
        plain = w.data is not None and w.quant is not None and not w.quant.zero_point.any()
        if n.x().dtype == "float32" or not plain or not last:
            raise _Leaves
        if rows[2:] != (1, w.shape[1]) or place.swapped or op.weights_format != "DEFAULT":
            raise _Leaves
        new = (w.shape[0], 1, 1, w.shape[1])
        assert w.data is not None
        data = w.data.reshape(new) if w.data.shape == w.shape else w.data
        weights = self.add(replace(w, shape=new, data=data, shape_signature=None))
        conv = Conv2D("VALID", 1, 1, op.fused_activation_function)
        self.like(n, conv, [x, weights, *(self.as_plain(t) for t in n.node.inputs[2:])], place)

    def visit(self, index: int, leave: bool) -> None:
        """Rewrite node `index`, by rows where it can be and `leave` does not forbid it."""
        self.index = index
        n = NodeView(self.old, index)
        before = len(self.tensors), len(self.nodes)
        try:
            rule = _rule(n.node.op.name)
            if leave or rule is None or not any(t in self.rows for t in n.node.inputs):
                raise _Leaves
            rule(self, n)
        except _Leaves:
            self.undo(*before)
            inputs = [self.as_plain(t) for t in n.node.inputs]
            for t in n.node.outputs:
                if t >= 0:
                    self.plain[t] = self.add(replace(self.old.tensors[t]))
            outputs = [self.plain[t] if t >= 0 else t for t in n.node.outputs]
            self.node(n.node.op, inputs, outputs)

    def undo(self, tensors: int, nodes: int) -> None:
        """Forget what a rule that gave up has added."""
        del self.tensors[tensors:], self.nodes[nodes:], self.origin[nodes:]
        for known in (self.rows, self.plain):
            for old in [old for old, new in known.items() if new >= tensors]:
                del known[old]
        self.is_rows = {t for t in self.is_rows if t < tensors}


def _swap_window(op: Any) -> Any:
    """The same window with rows and columns exchanged."""
    swaps = {"stride_h": op.stride_w, "stride_w": op.stride_h}
    if "filter_height" in vars(op):
        swaps |= {"filter_height": op.filter_width, "filter_width": op.filter_height}
    else:
        swaps |= {
            "dilation_h_factor": op.dilation_w_factor,
            "dilation_w_factor": op.dilation_h_factor,
        }
    return replace(op, **swaps)


def _rule(name: str) -> Callable[[_Rewriter, NodeView], None] | None:
    families = (
        (WINDOWS, _Rewriter.window),
        (ELEMENTWISE, _Rewriter.elementwise),
        (LAST_AXIS, _Rewriter.last_axis),
        (VIEWS, _Rewriter.view),
        (("PAD", "PADV2"), _Rewriter.pad),
        (("SLICE", "STRIDED_SLICE"), _Rewriter.cut),
        (("CONCATENATION",), _Rewriter.concatenation),
        (REDUCTIONS, _Rewriter.reduction),
        (("FULLY_CONNECTED",), _Rewriter.fully_connected),
    )
    return next((rule for names, rule in families if name in names), None)


def rows_are_time(model: Model, axis: int, leave: frozenset[int] = frozenset()) -> TimeGraph:
    """`model` with time as rows; `axis` is the time axis of its only input, 1 or 2.

    Nodes `leave` take whole windows, whatever they are.
    """
    graph = model.graph
    rewriter = _Rewriter(graph, axis)
    for index in range(len(graph.nodes)):
        rewriter.visit(index, index in leave)
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
