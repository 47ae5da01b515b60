"""How each kind of layer is rewritten so that time is the row axis: a rule for a family of ops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from thimble.ops.block_copy import ints
from thimble.ops.contract import NodeView
from thimble.ops.conv_2d import Conv2D
from thimble.ops.pad import Pad, pad_value, paddings_of
from thimble.ops.reduce import reduced_axes
from thimble.ops.strided_slice import Cut, StridedSlice
from thimble.time_stream.rewrite import Leaves, Place, Rewriter, place_in

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


def _window(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    if len(n.x().shape) != 4:
        raise Leaves
    op: Any = n.op
    inputs = [x, *(r.as_plain(t) for t in n.node.inputs[1:])]
    if place.axis == 2:
        op = _swap_window(op)
        if "filter_height" not in vars(op):
            inputs[1] = _swapped_weights(r, n)
    elif place.axis != 1:
        raise Leaves
    r.like(n, op, inputs, place)


def _swapped_weights(r: Rewriter, n: NodeView) -> int:
    w = n.x(1)
    o, h, width, c = w.shape
    if w.data is None:
        raise Leaves
    if h == 1 or width == 1:
        data = w.data.reshape((o, width, h, c)) if w.data.shape == w.shape else w.data
    elif w.data.shape == w.shape:
        data = np.ascontiguousarray(w.data.transpose(0, 2, 1, 3))
    else:
        raise Leaves  # packed int4
    return r.add(replace(w, shape=(o, width, h, c), data=data, shape_signature=None))


def _elementwise(r: Rewriter, n: NodeView) -> None:
    runtime = [t for t in n.node.inputs if t >= 0 and r.old.tensors[t].data is None]
    places = {r.places[t] for t in runtime if t in r.rows}
    times = {r.tensors[r.rows[t]].shape[1] for t in runtime if t in r.rows}
    if len(places) != 1 or len(times) != 1 or any(t not in r.rows for t in runtime):
        raise Leaves
    place = places.pop()
    inputs = [
        r.rows[t] if t in r.rows else _broadcast_constant(r, n, t, place) for t in n.node.inputs
    ]
    r.like(n, n.op, inputs, place)


def _broadcast_constant(r: Rewriter, n: NodeView, old: int, place: Place) -> int:
    """A constant operand [1, 1, S, C]; the same at all times."""
    tensor, rank = r.old.tensors[old], len(n.y().shape)
    assert tensor.data is not None
    shape = (1,) * (rank - len(tensor.shape)) + tuple(tensor.shape)
    if shape[place.axis] != 1 or tensor.data.shape != tensor.shape:
        raise Leaves
    new = (1, 1, 1, 1) if tensor.elements == 1 else place.rows(shape)
    return r.add(replace(tensor, shape=new, data=tensor.data.reshape(new), shape_signature=None))


def _last_axis(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    if len(n.x().shape) - 1 <= place.axis:
        raise Leaves
    r.like(n, n.op, [x], place)


def _view(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    found = place_in(n.y().shape, n.x().shape[place.axis])
    if place.swapped or found is None:
        raise Leaves
    r.finish(n.node.outputs[0], found, x)


def _pad(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    if n.node.op.name == "PADV2":
        value = n.x(2).data
        if value is None or not np.array_equal(value.reshape(-1), pad_value(n.y())):
            raise Leaves
    pads = [(0, 0)] * 4
    for axis, pair in enumerate(paddings_of(n.constant(1))):
        to = place.moved(n.x().shape, axis)
        if pair != (0, 0):
            if to is None:
                raise Leaves
            pads[to] = pair
    time, rest = pads[1], [(0, 0), (0, 0), *pads[2:]]
    if any(pair != (0, 0) for pair in rest):
        old = n.node.outputs[0]
        shape = [d + a + b for d, (a, b) in zip(r.tensors[x].shape, rest)]
        y = r.add(r.shaped(old, shape, "/columns"))
        r.node(Pad(), [x, r.const(rest, "paddings")], [y])
        r.is_rows.add(y)
        x = y
    only_time = r.const([(0, 0), time, (0, 0), (0, 0)], "paddings")
    r.like(n, Pad(), [x, only_time], place)


def _cut(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    shape = n.x().shape
    if n.node.op.name == "SLICE":
        begins, ends = ints(n.constant(1)), n.y().shape
        cuts = [Cut(b, size, 1) for b, size in zip(begins, ends)]
    else:
        op: Any = n.op
        cuts = op.cuts(shape, n.constant(1), n.constant(2), n.constant(3))
    if any(c.is_new or c.step < 1 for c in cuts):
        raise Leaves
    limits = [(0, d, 1) for d in r.tensors[x].shape]
    for axis, c in enumerate(cuts):
        to = place.moved(shape, axis)
        if (c.first, c.count, c.step) != (0, shape[axis], 1):
            if to is None:
                raise Leaves
            limits[to] = (c.first, c.first + (c.count - 1) * c.step + 1, c.step)
    new_shape = tuple(-(-(end - begin) // step) for begin, end, step in limits)
    old = n.node.outputs[0]
    words = [r.const(column, "slice") for column in zip(*limits)]
    kept = [axis for axis, c in enumerate(cuts) if c.kept]
    y = r.add(r.shaped(old, new_shape, "/rows"))
    if new_shape[1] == 1:
        r.node(StridedSlice(), [x, *words], [y])
        r.is_rows.add(y)
        r.plain[old] = r.add(replace(r.old.tensors[old]))
        if place.swapped:
            raise Leaves
        r.reshape(y, r.plain[old])
        return
    if place.axis not in kept or (place.swapped and len(kept) != 4):
        raise Leaves
    r.node(StridedSlice(), [x, *words], [y])
    r.finish(old, Place(kept.index(place.axis), place.swapped), y)


def _concatenation(r: Rewriter, n: NodeView) -> None:
    op: Any = n.op
    found = [r.time_input(n, i) for i in range(len(n.node.inputs))]
    place = found[0][1]
    to = place.moved(n.y().shape, op.axis % len(n.y().shape))
    if to in (None, 0, 1) or any(p != place for _, p in found):
        raise Leaves
    r.like(n, replace(op, axis=to), [x for x, _ in found], place)


def _reduction(r: Rewriter, n: NodeView) -> None:
    x, place = r.time_input(n)
    op: Any = n.op
    shape = n.x().shape
    axes = reduced_axes(n.constant(1), len(shape))
    moved = [place.moved(shape, a) for a in axes]
    if 1 in moved or None in moved or 0 in moved:
        raise Leaves
    kept = range(len(shape)) if op.keep_dims else [a for a in range(len(shape)) if a not in axes]
    if place.swapped and not op.keep_dims:
        raise Leaves
    after = Place(list(kept).index(place.axis), place.swapped)
    inputs = [x, r.const(sorted(m for m in moved if m is not None), "axes")]
    r.like(n, replace(op, keep_dims=True), inputs, after)


def _fully_connected(r: Rewriter, n: NodeView) -> None:
    """A dense layer on every row alone is a 1x1 convolution, with the same multipliers."""
    x, place = r.time_input(n)
    op: Any = n.op
    w, rows = n.x(1), r.tensors[x].shape
    shape = n.y().shape
    last = place.axis == len(shape) - 2 and shape[place.axis] == rows[1]
    plain = w.data is not None and w.quant is not None and not w.quant.zero_point.any()
    if n.x().dtype == "float32" or not plain or not last:
        raise Leaves
    if rows[2:] != (1, w.shape[1]) or place.swapped or op.weights_format != "DEFAULT":
        raise Leaves
    new = (w.shape[0], 1, 1, w.shape[1])
    assert w.data is not None
    data = w.data.reshape(new) if w.data.shape == w.shape else w.data
    weights = r.add(replace(w, shape=new, data=data, shape_signature=None))
    conv = Conv2D("VALID", 1, 1, op.fused_activation_function)
    r.like(n, conv, [x, weights, *(r.as_plain(t) for t in n.node.inputs[2:])], place)


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


def rule_for(name: str) -> Callable[[Rewriter, NodeView], None] | None:
    """How nodes of op `name` are rewritten; None for those that always leave time."""
    families = (
        (WINDOWS, _window),
        (ELEMENTWISE, _elementwise),
        (LAST_AXIS, _last_axis),
        (VIEWS, _view),
        (("PAD", "PADV2"), _pad),
        (("SLICE", "STRIDED_SLICE"), _cut),
        (("CONCATENATION",), _concatenation),
        (REDUCTIONS, _reduction),
        (("FULLY_CONNECTED",), _fully_connected),
    )
    return next((rule for names, rule in families if name in names), None)
