"""Ops that mix the channels of their input, and DEPTHWISE_CONV_2D: facts about their outputs.

Bounds are interval arithmetic on the very integers of the kernels, whose requantization is
monotone: an accumulator between two others is requantized to between their results.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from thimble import fixedpoint
from thimble.geometry import axis
from thimble.ops.contract import NodeView
from thimble.ops.conv_2d import multipliers
from thimble.passes.channels import Channels, Layer

Array = np.ndarray


def _taps_inside(size: int, window: int, stride: int, dilation: int, padding: str) -> Array:
    """[kinds of output position, taps] whether a tap lies inside the image, along one axis."""
    found = axis(size, window, stride, dilation, padding)
    first = np.arange(found.out) * stride - found.pad
    taps = first[:, None] + np.arange(window) * dilation
    return np.unique((taps >= 0) & (taps < size), axis=0)


def _taken(n: NodeView) -> Array:
    """[kinds of output position, taps] of a convolution in both axes."""
    op, (_, in_h, in_w, _), (_, filter_h, filter_w, _) = n.op, n.x().shape, n.x(1).shape
    rows = _taps_inside(in_h, filter_h, op.stride_h, op.dilation_h_factor, op.padding)
    columns = _taps_inside(in_w, filter_w, op.stride_w, op.dilation_w_factor, op.padding)
    both = rows[:, None, :, None] & columns[None, :, None, :]
    return both.reshape(-1, filter_h * filter_w)


def has_plain_weights(n: NodeView) -> bool:
    """Whether the node has constant int8 weights and a bias that a rewrite can cut."""
    w = n.x(1)
    return (
        w.dtype == "int8"
        and w.data is not None
        and w.quant is not None
        and w.quant.details is None
        and "sparsity" not in w.extra
    )


def _bias(n: NodeView, out: int) -> Array:
    return n.constant(2).reshape(-1).astype(np.int64) if n.has(2) else np.zeros(out, np.int64)


def _requantize(n: NodeView, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """Bounds [O] of accumulators between low and high [U, O], and [O, 2] their multipliers."""
    out = low.shape[1]
    q, s = (np.broadcast_to(v.astype(np.int64), out) for v in multipliers(n, n.x(1)))
    y = n.y()
    least, most = fixedpoint.activation_range(
        n.op.fused_activation_function, y.dtype, y.scale, y.zero_point
    )
    # Beyond 32 bits the kernels wrap, which is not monotone.
    largest = np.maximum(np.abs(low), np.abs(high)).max(axis=0)
    fits = largest <= (2**31 - 1) >> np.clip(s, 0, 31)
    bounds = []
    for acc, extreme in ((low, np.min), (high, np.max)):
        results = fixedpoint.mbqm(np.where(fits, acc, 0), q, s) + y.zero_point
        bounds.append(extreme(np.clip(results, least, most), axis=0))
    return (
        np.where(fits, bounds[0], min(least, most)),
        np.where(fits, bounds[1], max(least, most)),
        np.stack([q, s], axis=1),
    )


def _mixing(c: Channels, n: NodeView, weights: Array, taken: Array, w_zero: int = 0) -> bool:
    """Facts about the output of a layer with weights [O, K, C] less their zero point."""
    x, y = n.node.inputs[0], n.node.outputs[0]
    bias = _bias(n, len(weights))
    layer = Layer(n.index, x, y, weights, taken, bias, n.x().zero_point, w_zero)
    c.layers.append(layer)
    low, high = (v - layer.x_zero for v in (c.low[x], c.high[x]))
    # float64 has a fast matrix product and holds these sums exactly.
    positive = np.maximum(weights, 0).astype(np.float64)
    negative = np.minimum(weights, 0).astype(np.float64)
    least = (positive @ low + negative @ high) @ taken.T.astype(np.float64)
    most = (positive @ high + negative @ low) @ taken.T.astype(np.float64)
    sums = [v.T.astype(np.int64) + bias for v in (least, most)]
    y_low, y_high, factors = _requantize(n, *sums)
    keys = np.concatenate([weights.reshape(len(weights), -1), bias[:, None], factors], axis=1)
    c.put(y, y_low, y_high, keys)
    c.pin(n.node.inputs[1])
    return True


def _conv_2d(c: Channels, n: NodeView) -> bool:
    if not has_plain_weights(n) or n.x(1).shape[3] != n.x().shape[3]:
        return False
    w = n.constant(1).astype(np.int16)
    return _mixing(c, n, w.reshape(len(w), -1, w.shape[3]), _taken(n))


def _fully_connected(c: Channels, n: NodeView) -> bool:
    if not has_plain_weights(n):
        return False
    out, depth = n.x(1).shape
    channels = c.count(n.node.inputs[0])
    if depth % channels or n.y().shape[-1:] != (out,):
        return False
    quant = n.x(1).quant
    assert quant is not None
    zero = int(quant.zero_point[0])  # TFLite honours it here alone
    w = (n.constant(1).astype(np.int16) - zero).reshape(out, depth // channels, channels)
    return _mixing(c, n, w, np.ones((1, depth // channels), bool), zero)


def _depthwise(c: Channels, n: NodeView) -> bool:
    if not has_plain_weights(n):
        return False
    x, y = n.node.inputs[0], n.node.outputs[0]
    out = n.x(1).shape[3]
    each = out // c.count(x)
    w = n.constant(1).astype(np.int64).reshape(-1, out)
    low, high = (np.repeat(v[x] - n.x().zero_point, each) for v in (c.low, c.high))
    taken, bias = _taken(n).astype(np.int64), _bias(n, out)
    products = w * low, w * high
    sums = [taken @ extreme(*products) + bias for extreme in (np.minimum, np.maximum)]
    y_low, y_high, factors = _requantize(n, *sums)
    keys = [np.repeat(c.same[x], each)[:, None], w.T, bias[:, None], factors]
    c.put(y, y_low, y_high, np.concatenate(keys, axis=1))
    c.couple(x, y, np.repeat(np.arange(c.count(x)), each))
    c.pin(n.node.inputs[1])
    return True


WEIGHTED: dict[str, Callable[[Channels, NodeView], bool]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
}
