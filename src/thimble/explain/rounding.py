"""How a runner rounds: int8 layers recomputed with each known requantization, compared bit by bit.

`acc * scale` is brought to 8 bits in several ways (docs/numerics.md): TFLM and LiteRT's reference
round twice in integers, XNNPACK multiplies in float32 and rounds half to even, ruy rounds half up,
builds with TFLITE_SINGLE_ROUNDING round once, and wrong code truncates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from thimble import fixedpoint
from thimble.explain.functions import Functions
from thimble.explain.values import quantization
from thimble.ops.contract import NodeView, int_weights

Array = np.ndarray

LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def _xnnpack(acc: Array, factor: Array) -> Array:
    return np.rint(acc.astype(np.float32) * factor.astype(np.float32)).astype(np.int64)


def _single(acc: Array, factor: Array) -> Array:
    q, s = fixedpoint.quantize_multipliers(np.atleast_1d(factor))
    s = s.astype(np.int64)
    return np.asarray((acc * q.astype(np.int64) + (np.int64(1) << (30 - s))) >> (31 - s))


def _half_up(acc: Array, factor: Array) -> Array:
    q, s = fixedpoint.quantize_multipliers(np.atleast_1d(factor))
    s = s.astype(np.int64)
    left, right = np.maximum(s, 0), np.maximum(-s, 0)
    high = fixedpoint.srdhm(acc << left, q)
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    return np.asarray((high + half) >> right)


def _double_real(acc: Array, factor: Array) -> Array:
    x = acc * factor
    return (np.sign(x) * np.floor(np.abs(x) + 0.5)).astype(np.int64)


def _floor(acc: Array, factor: Array) -> Array:
    return np.floor(acc * factor).astype(np.int64)


def _truncated(acc: Array, factor: Array) -> Array:
    return np.trunc(acc * factor).astype(np.int64)


REQUANTIZATIONS: Mapping[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "xnnpack": ("float32 multiplication, halves to even (XNNPACK)", _xnnpack),
    "single": ("one rounding, halves up (TFLITE_SINGLE_ROUNDING)", _single),
    "half-up": ("two roundings, the second half up (LiteRT's optimised kernels)", _half_up),
    "double": ("multiplication in double, halves away from zero", _double_real),
    "floor": ("rounded down instead of to the nearest", _floor),
    "truncated": ("truncated toward zero instead of rounded", _truncated),
}


def accumulators(functions: Functions, index: int, values: Mapping[int, Array]) -> Array | None:
    """bias + sum w * (x - zero point) of an int8 linear layer, int64; None for other layers."""
    graph = functions.graph
    view = NodeView(graph, index)
    op: Any = view.op
    if op.name not in LINEAR or view.x().dtype not in ("int8", "int16") or not view.has(1):
        return None
    w, x = view.x(1), values.get(view.node.inputs[0])
    if w.data is None or x is None or w.quant is None or np.size(x) != view.x().elements:
        return None
    shifted = np.asarray(x, np.float64).reshape(view.x().shape) - quantization(view.x())[1]
    weights = int_weights(w).astype(np.float64).reshape(w.shape)
    bias = view.x(2).data if view.has(2) else None
    given = [shifted, weights, None if bias is None else np.asarray(bias, np.float64)]
    plain = replace(op, fused_activation_function="NONE")
    return np.asarray(np.rint(plain.real(*given)[0]).astype(np.int64))


def requantized(functions: Functions, index: int, acc: Array, name: str) -> Array:
    """The output of linear layer `index` for `acc` with requantization `name` (raw integers)."""
    view = NodeView(functions.graph, index)
    w, y = view.x(1), view.y()
    assert w.quant is not None
    scale = quantization(view.x())[0]
    if name == "xnnpack":
        factor = np.float32(scale) * w.quant.scale.astype(np.float32) / np.float32(y.scale)
    else:
        factor = np.float64(scale) * w.quant.scale.astype(np.float64) / np.float64(y.scale)
    low, high = fixedpoint.activation_range(
        view.op.fused_activation_function, y.dtype, y.scale, y.zero_point
    )
    done = REQUANTIZATIONS[name][1](acc, factor)
    return np.clip(done + y.zero_point, low, high)


def recognised(
    functions: Functions, index: int, samples: Sequence[tuple[Mapping[int, Array], Array]]
) -> str | None:
    """The requantization that gives the very outputs of `samples` (inputs by tensor, output)."""
    left = list(REQUANTIZATIONS)
    for values, y in samples:
        acc = accumulators(functions, index, values)
        if acc is None:
            return None
        left = [
            name
            for name in left
            if np.array_equal(
                requantized(functions, index, acc, name).reshape(-1), np.asarray(y).reshape(-1)
            )
        ]
    return left[0] if left and samples else None
