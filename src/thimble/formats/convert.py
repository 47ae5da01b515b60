"""Data as given -> the dtype of a model input, or the reason why that cannot be right."""

from __future__ import annotations

import numpy as np

from thimble.graph import Tensor

Array = np.ndarray

PIXEL_RANGES = (  # (low, high) of an input's real values -> what a pixel 0..255 becomes
    ((0.0, 255.0), lambda x: x, "pixels taken as they are"),
    ((0.0, 1.0), lambda x: x / np.float32(255.0), "pixels divided by 255"),
    ((-1.0, 1.0), lambda x: x / np.float32(127.5) - np.float32(1.0), "pixels mapped to [-1, 1]"),
)
RANGE_TOLERANCE = 0.02  # of the width: calibration leaves the ends a little off

Converted = tuple[Array | None, str, tuple[str, str]]  # (array, note, (problem, hint))


def quantize_array(x: Array, tensor: Tensor) -> Array:
    """clip(round(x / scale) + zero_point), halves away from zero, as the QUANTIZE operator does."""
    scaled = x.astype(np.float32) / tensor.scale
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled))
    limits = np.iinfo(tensor.dtype)
    q = rounded.astype(np.float64) + tensor.zero_point
    return np.clip(q, limits.min, limits.max).astype(tensor.dtype)


def dequantize_array(q: Array, scale: float, zero_point: int) -> Array:
    """scale * (q - zero_point) in float64; `q` itself as float64 where scale is 0."""
    if not scale:
        return q.astype(np.float64)
    return (q.astype(np.float64) - zero_point) * float(scale)


def real_range(tensor: Tensor) -> tuple[float, float]:
    """The least and greatest real value that a quantized tensor can hold."""
    limits = np.iinfo(tensor.dtype)
    scale, zero_point = float(tensor.scale), tensor.zero_point
    return scale * (limits.min - zero_point), scale * (limits.max - zero_point)


def as_input(x: Array, tensor: Tensor) -> Converted:
    """`x` in the dtype of `tensor`: as it is where the dtypes agree, quantized or converted
    otherwise.
    """
    if x.dtype == np.dtype(_numpy_name(tensor.dtype)):
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            return None, "", ("holds NaN or infinite values", "remove those samples")
        return np.ascontiguousarray(x), "", ("", "")
    if x.dtype.kind not in "fiub":
        return None, "", (f"has dtype {x.dtype}; the input takes {tensor.dtype}", "give numbers")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        return None, "", ("holds NaN or infinite values", "remove those samples")
    is_quantized = (
        tensor.dtype in ("int8", "int16", "uint8")
        and tensor.quant is not None
        and len(tensor.quant.scale) == 1
        and float(tensor.quant.scale[0]) > 0
    )
    if is_quantized and x.dtype.kind == "f":
        note = f"quantized with scale {float(tensor.scale):.6g}, zero point {tensor.zero_point}"
        return quantize_array(x, tensor), note, ("", "")
    if is_quantized and x.dtype == np.uint8:
        return _pixels(x, tensor)
    if np.dtype(_numpy_name(tensor.dtype)).kind == "f":
        note = "" if x.dtype.kind == "f" else f"{x.dtype} taken as real values"
        return np.ascontiguousarray(x, dtype=_numpy_name(tensor.dtype)), note, ("", "")
    if tensor.dtype == "bool":
        return x.astype(bool), "", ("", "")
    if x.dtype.kind == "f":
        problem = f"has dtype {x.dtype}; the input takes {tensor.dtype} and has no scale"
        return None, "", (problem, "give integers")
    limits = np.iinfo(tensor.dtype)
    if x.size and (int(x.min()) < limits.min or int(x.max()) > limits.max):
        problem = f"holds values {x.min()}..{x.max()}; the input takes {tensor.dtype}"
        return None, "", (problem, "give real values as float, or values in the input's range")
    return np.ascontiguousarray(x, dtype=tensor.dtype), "", ("", "")


def _numpy_name(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype


def _pixels(x: Array, tensor: Tensor) -> Converted:
    """uint8 data for a quantized input: the input's own range says what a pixel means."""
    low, high = real_range(tensor)
    slack = RANGE_TOLERANCE * (high - low)
    for (want_low, want_high), to_real, note in PIXEL_RANGES:
        if abs(low - want_low) <= slack and abs(high - want_high) <= slack:
            return quantize_array(to_real(x.astype(np.float32)), tensor), note, ("", "")
    problem = (
        f"is uint8, and the input's range [{low:.4g}, {high:.4g}] does not say what a pixel means"
    )
    return None, "", (problem, "give real values as float32")
