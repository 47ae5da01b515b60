"""Tensors of two models as the same real values: what every comparison of two runs counts with."""

from __future__ import annotations

import numpy as np

from thimble.formats.convert import dequantize_array, quantize_array
from thimble.graph import Tensor
from thimble.ops.contract import int_weights

Array = np.ndarray

ULPS = 4e-7  # relative: scales that two converters computed in another order
QUANTIZED = ("int8", "int16", "uint8", "int32")


def quantization(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point) of a per-tensor quantized integer tensor, (0, 0) for any other."""
    if tensor.dtype not in QUANTIZED or tensor.quant is None:
        return 0.0, 0
    if len(tensor.quant.scale) != 1 or len(tensor.quant.zero_point) != 1:
        return 0.0, 0
    return float(tensor.quant.scale[0]), int(tensor.quant.zero_point[0])


def real(array: Array, tensor: Tensor) -> Array:
    """The real values of a run-time tensor, float64; integers themselves where it has no scale."""
    return dequantize_array(array, *quantization(tensor))


def as_tensor(array: Array, x: Tensor, y: Tensor) -> Array:
    """Values of tensor x in the dtype of tensor y."""
    if same_grid(x, y):
        return array
    values = real(array, x)
    if quantization(y)[0]:
        return quantize_array(values, y)
    return values.astype(y.dtype)


def same_grid(x: Tensor, y: Tensor) -> bool:
    """Whether equal real values are equal stored numbers in both."""
    (scale_x, zero_x), (scale_y, zero_y) = quantization(x), quantization(y)
    return x.dtype == y.dtype and zero_x == zero_y and abs(scale_x - scale_y) <= ULPS * scale_x


def constant(tensor: Tensor) -> tuple[Array, Array]:
    """(real values, half a step of each) of a constant, float64 and of the tensor's shape.

    Quantized constants get scale * (q - zero point), per channel where they have several scales;
    the half step is what rounding to that grid may have changed (0 for float32).
    """
    if tensor.data is None:
        raise ValueError(f"`{tensor.name}` is not a constant")
    q = np.asarray(int_weights(tensor)).reshape(tensor.shape)
    quant = tensor.quant
    if quant is None or not len(quant.scale) or q.dtype.kind == "f":
        values = q.astype(np.float64)
        step = np.finfo(np.float16).eps if tensor.dtype == "float16" else 0.0
        return values, np.abs(values) * step
    count = len(quant.scale)
    shape = [1] * q.ndim
    if count > 1 and q.ndim:
        shape[quant.axis if 0 <= quant.axis < q.ndim else 0] = count
    scale = quant.scale.astype(np.float64)
    zero = np.broadcast_to(quant.zero_point.astype(np.float64), scale.shape)
    if count > 1 and (not q.ndim or q.shape[quant.axis % q.ndim] != count):
        scale, zero, shape = scale[:1], zero[:1], [1] * q.ndim
    steps = scale.reshape(shape) if q.ndim else scale[0]
    values = (q.astype(np.float64) - (zero.reshape(shape) if q.ndim else zero[0])) * steps
    return values, np.broadcast_to(np.abs(steps) / 2, values.shape)
