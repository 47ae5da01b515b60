"""Ranges -> scales and zero points, by the rules of TFLite's 8-bit quantization specification.

https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec
"""

from __future__ import annotations

import numpy as np

from thimble.graph import Quant

Array = np.ndarray

SMALLEST_SPAN = 2.0**-60  # below it a range counts as empty: scales and their products stay normal
SMALLEST_SCALE = 2.0**-100
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767)}
WEIGHT_MAX = 127  # weights use [-127, 127], so that they are symmetric


def round_away(x: Array) -> Array:
    """Nearest integers, halves away from zero, as int64."""
    return np.trunc(x + np.copysign(0.5, x)).astype(np.int64)


def activation_quant(low: float, high: float, dtype: str) -> Quant:
    """Params of an activation that must represent [low, high] and, exactly, 0.

    int8: asymmetric, the zero point nudged to an integer. int16: symmetric, zero point 0. An empty
    range gets a scale of 1 / 128, so that whatever is computed from it stays legal.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    q_low, q_high = LIMITS[dtype]
    if high - low < SMALLEST_SPAN:
        return Quant.per_tensor(1 / 128, 0)
    if dtype == "int16":
        return Quant.per_tensor(max(-low, high) / q_high, 0)
    scale = np.float32((high - low) / (q_high - q_low))
    zero_point = int(round_away(np.array(q_low - low / float(scale))))
    return Quant.per_tensor(float(scale), min(max(zero_point, q_low), q_high))


def covers(quant: Quant, low: float, high: float, dtype: str) -> bool:
    """Whether `quant` can represent [low, high] up to half a step."""
    q_low, q_high = LIMITS[dtype]
    scale, zero_point = float(quant.scale[0]), int(quant.zero_point[0])
    first, last = (q_low - zero_point - 0.5) * scale, (q_high - zero_point + 0.5) * scale
    return first <= low and high <= last


def quantize_activation(values: Array, quant: Quant, dtype: str) -> Array:
    """Constants as an activation: round(v / scale) + zero_point, clamped."""
    q = round_away(values.astype(np.float64) / float(quant.scale[0])) + int(quant.zero_point[0])
    return np.clip(q, *LIMITS[dtype]).astype(dtype)


def _slices(values: Array, axis: int) -> Array:
    """`values` as [slices of axis, rest]."""
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def weight_scales(
    weights: Array, axis: int | None, input_scale: float, bias: Array | None, bias_dtype: str
) -> Array:
    """Scales [C] float32 (or [1] with axis None) for symmetric int8 weights.

    scale = max |w| / 127. Where the bias, stored at input_scale * scale, would then not leave room
    for the products in an int32 accumulator, the scale is widened (as TensorFlow's quantizer does).
    A slice of zeros takes a scale that suits its bias.
    """
    rows = weights.reshape(1, -1) if axis is None else _slices(weights, axis)
    largest = np.abs(rows.astype(np.float64)).max(axis=1, initial=0)
    scales = np.where(largest < SMALLEST_SPAN, 0.0, largest / WEIGHT_MAX)
    offset = np.zeros(len(scales))
    if bias is not None:
        flat = np.abs(bias.astype(np.float64).reshape(-1))
        offset = flat if len(flat) == len(scales) else np.full(len(scales), flat.max(initial=0))
    if bias_dtype == "int32":
        products = 255.0 * WEIGHT_MAX * rows.shape[1]
        room = min(max(2.0**31 - 1 - products, 2.0**28), 2.0**30)
        scales = np.maximum(scales, offset / (room * input_scale))
    zero = largest < SMALLEST_SPAN
    scales = np.where(zero, offset / (2.0**20 * input_scale), scales)
    return np.where(scales < SMALLEST_SCALE, 1.0, scales).astype(np.float32)


def quantize_weights(weights: Array, axis: int | None, scales: Array) -> tuple[Array, Quant]:
    """(int8 weights of the same shape, their params)."""
    shape = [1] * weights.ndim
    if axis is not None:
        shape[axis] = len(scales)
    divided = weights.astype(np.float64) / scales.astype(np.float64).reshape(shape)
    values = np.clip(round_away(divided), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)
    zero_points = np.zeros(len(scales), np.int64)
    return values, Quant(scales.astype(np.float32), zero_points, axis or 0)


def quantize_bias(
    bias: Array, input_scale: float, scales: Array, dtype: str
) -> tuple[Array, Quant]:
    """(int32 or int64 bias, its params): scale = input scale * weight scale, zero point 0."""
    steps = np.float64(input_scale) * scales.astype(np.float64)
    wide = np.broadcast_to(steps, bias.shape) if len(steps) > 1 else steps[0]
    limit = 2.0**31 - 1 if dtype == "int32" else 2.0**39  # int16x8 kernels take 40-bit sums
    values = np.clip(round_away(bias.astype(np.float64) / wide), -limit, limit)
    zero_points = np.zeros(len(steps), np.int64)
    return values.astype(dtype), Quant(steps.astype(np.float32), zero_points, bias.ndim - 1)
