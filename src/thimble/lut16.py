"""Functions of int16 by tables of 513 entries, linear in between, as TFLite's kernels have them.

The arithmetic that builds a table is float32 throughout (docs/numerics.md, LUT int16). The lookup
is `kernels/lut16.h`, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
STEPS = 512


def _round_away(x: Array) -> Array:
    return np.copysign(np.floor(np.abs(x) + np.float32(0.5)), x).astype(np.float32)


def table(
    function: Callable[[Array], Array],
    input_scale: float,
    input_zero_point: int,
    output_scale: float,
    output_zero_point: int,
) -> Array:
    """`function` (of float64 arrays) at 512 steps over int16 and at its end: int16 [513].

    Each entry is shifted by half the error of interpolating at the middle of its step.
    """
    f32 = np.float32
    in_scale, out_scale = f32(input_scale), f32(output_scale)

    def f(x: Array) -> Array:
        return function(x.astype(np.float64)).astype(np.float32)

    low, high = in_scale * f32(-32768 - input_zero_point), in_scale * f32(32767 - input_zero_point)
    out_low = out_scale * f32(-32768 - output_zero_point)
    out_high = out_scale * f32(32767 - output_zero_point)
    step = (high - low) / f32(STEPS)
    inverse = f32(65536) / (out_high - out_low)
    k = np.arange(STEPS, dtype=np.float32)
    value = _round_away(f(low + k * step) * inverse)
    middle = _round_away(f(low + k * step + step / f32(2)) * inverse)
    interpolated = _round_away((f(low + (k + f32(1)) * step) * inverse + value) / f32(2))
    bias = _round_away((interpolated - middle) / f32(2))
    last = _round_away(f(np.array([high])) * inverse)
    entries = np.concatenate([value - bias, last])
    return np.clip(entries, f32(-32768), f32(32767)).astype(np.int16)


def lookup(entries: Array, x: Array) -> Array:
    """Twin of thm_lut16: x int16 values in any integer array."""
    wide = entries.astype(np.int64)
    k, offset = 256 + (np.asarray(x, np.int64) >> 7), np.asarray(x, np.int64) & 127
    return wide[k] + (((wide[k + 1] - wide[k]) * offset + 64) >> 7)
