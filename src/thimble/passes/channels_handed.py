"""Ops that hand channels through, each on its own: facts about their outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from thimble import fixedpoint
from thimble.ops.contract import NodeView
from thimble.ops.pad import paddings_of
from thimble.ops.reduce import reduced_axes
from thimble.passes.channels import Channels
from thimble.passes.fold_constants import evaluate

Array = np.ndarray
MOST_ELEMENTS = 1 << 18  # of an input that is evaluated for its bounds


def _hand_through(c: Channels, n: NodeView, low: Array, high: Array) -> bool:
    """Every operand with as many channels as y goes with it; others are broadcast over it."""
    y = n.node.outputs[0]
    operands = [t for t in n.node.inputs if t in c.base]
    wide = [t for t in operands if c.count(t) == c.count(y)]
    for t in wide:
        c.couple(t, y)
    c.put(y, low, high, np.stack([c.same[t] for t in wide], axis=1))
    return True


def _anything(c: Channels, n: NodeView) -> bool:
    count = c.count(n.node.outputs[0])
    return _hand_through(c, n, np.full(count, -128), np.full(count, 127))


def _evaluated(c: Channels, n: NodeView, operands: list[Array]) -> Array | None:
    """[corners, C] what the node's own kernel makes of constant operands [corners, C or 1]."""
    tensors = list(c.graph.tensors)
    for t, values in zip(n.node.inputs, operands):
        data = values.astype(np.int8)
        tensors[t] = replace(tensors[t], shape=data.shape, data=data)
    y = n.node.outputs[0]
    tensors[y] = replace(tensors[y], shape=(len(operands[0]), c.count(y)))
    results = evaluate(c.graph.with_(tensors=tuple(tensors)), n.node)
    return None if results is None else results[0].reshape(tensors[y].shape)


def _elementwise(c: Channels, n: NodeView) -> bool:
    """Monotone in each operand, so that the extremes lie at the corners of their bounds."""
    operands = list(dict.fromkeys(n.node.inputs))
    if any(t not in c.base for t in operands) or len(operands) > 2:
        return False
    if len(operands) == 1:
        # x + x, x * x: the corners (low, low), (high, high) do not bound x * x
        return _anything(c, n) if len(n.node.inputs) > 1 else _corners(c, n, [[0, 1]])
    return _corners(c, n, [[0, 0, 1, 1], [0, 1, 0, 1]])


def _corners(c: Channels, n: NodeView, picks: list[list[int]]) -> bool:
    bounds = [np.stack([c.low[t], c.high[t]]) for t in n.node.inputs]
    results = _evaluated(c, n, [b[pick] for b, pick in zip(bounds, picks)])
    if results is None:
        return _anything(c, n)
    return _hand_through(c, n, results.min(axis=0), results.max(axis=0))


def unary(c: Channels, n: NodeView) -> bool:
    """The least and greatest entry of the op's own table between the bounds."""
    x = n.node.inputs[0]
    table = n.op.table(n.x(), n.y())
    bounds, which = np.unique(np.stack([c.low[x], c.high[x]], axis=1), axis=0, return_inverse=True)
    parts = [table[low + 128 : high + 129] for low, high in bounds]
    low, high = (np.array([f(part) for part in parts])[which.reshape(-1)] for f in (min, max))
    return _hand_through(c, n, low, high)


def _pool(c: Channels, n: NodeView) -> bool:
    """Averages and maxima lie between their elements, of which a window has at least one."""
    x, y = n.node.inputs[0], n.y()
    clamp = fixedpoint.activation_range(
        n.op.fused_activation_function, y.dtype, y.scale, y.zero_point
    )
    return _hand_through(c, n, np.clip(c.low[x], *clamp), np.clip(c.high[x], *clamp))


def _reduce(c: Channels, n: NodeView) -> bool:
    """Monotone in every element; over positions alone, not over channels."""
    x, y = n.x(), n.node.outputs[0]
    last = len(x.shape) - 1
    if last in reduced_axes(n.constant(1), len(x.shape)) or x.elements > MOST_ELEMENTS:
        return False
    t, bounds = n.node.inputs[0], []
    for values in (c.low, c.high):
        tensors = list(c.graph.tensors)
        data = np.broadcast_to(values[t].astype(np.int8), x.shape).copy()
        tensors[t] = replace(x, data=data)
        results = evaluate(c.graph.with_(tensors=tuple(tensors)), n.node)
        if results is None:
            return False
        bounds.append(results[0].reshape(-1, c.count(y))[0].astype(np.int64))
    return _hand_through(c, n, *bounds)


def _pad(c: Channels, n: NodeView) -> bool:
    pads = paddings_of(n.constant(1))
    if not pads or pads[-1] != (0, 0):
        return False
    x = n.node.inputs[0]
    low, high = c.low[x], c.high[x]
    if any(pad != (0, 0) for pad in pads):
        zero = n.y().zero_point if n.y().quant is not None else 0
        low, high = np.minimum(low, zero), np.maximum(high, zero)
    return _hand_through(c, n, low, high)


def _moved(c: Channels, n: NodeView) -> bool:
    """The same values at other positions."""
    x = n.node.inputs[0]
    return _hand_through(c, n, c.low[x], c.high[x])


def _transpose(c: Channels, n: NodeView) -> bool:
    order = n.constant(1).reshape(-1)
    return len(order) > 0 and int(order[-1]) == len(order) - 1 and _moved(c, n)


def _reshape(c: Channels, n: NodeView) -> bool:
    """Element f of the flat tensor is in channel f % C of x and f % D of y."""
    if n.has(1) and not n.x(1).is_constant:
        return False
    x, y = n.node.inputs[0], n.node.outputs[0]
    inner, outer = c.count(x), c.count(y)
    if max(inner, outer) % min(inner, outer):
        return False
    if outer >= inner:  # flattened
        of_x = np.arange(outer) % inner
        keys = np.stack([np.arange(outer) // inner, c.same[x][of_x]], axis=1)
        c.put(y, c.low[x][of_x], c.high[x][of_x], keys)
        c.couple(x, y, of_x)
    else:
        low, high, same = (v[x].reshape(-1, outer) for v in (c.low, c.high, c.same))
        c.put(y, low.min(axis=0), high.max(axis=0), same.T)
        c.couple(x, y, None, np.arange(inner) % outer)
    return True


def _concatenation(c: Channels, n: NodeView) -> bool:
    y, inputs = n.node.outputs[0], n.node.inputs
    if any(t not in c.base for t in inputs):
        return False
    lows, highs, same = ([v[t] for t in inputs] for v in (c.low, c.high, c.same))
    if n.op.axis % len(n.y().shape) != len(n.y().shape) - 1:
        return _hand_through(c, n, np.min(lows, axis=0), np.max(highs, axis=0))
    part = np.repeat(np.arange(len(inputs)), [c.count(t) for t in inputs])
    keys = np.stack([part, np.concatenate(same)], axis=1)
    c.put(y, np.concatenate(lows), np.concatenate(highs), keys)
    first = 0
    for t in inputs:
        c.couple(t, y, None, first + np.arange(c.count(t)))
        first += c.count(t)
    return True


HANDED: dict[str, Callable[[Channels, NodeView], bool]] = {
    "ADD": _elementwise,
    "AVERAGE_POOL_2D": _pool,
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _reshape,
    "MAXIMUM": _elementwise,
    "MAX_POOL_2D": _pool,
    "MEAN": _reduce,
    "MINIMUM": _elementwise,
    "MUL": _elementwise,
    "PAD": _pad,
    "PRELU": _anything,
    "QUANTIZE": _elementwise,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _anything,
    "RESIZE_NEAREST_NEIGHBOR": _moved,
    "SQUEEZE": _reshape,
    "SUB": _elementwise,
    "SUM": _reduce,
    "TRANSPOSE": _transpose,
}
