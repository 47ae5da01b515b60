"""Random sliding-window geometry for tests: sizes, strides, dilations, paddings, bands and
rings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from thimble.geometry import axis


@dataclass(frozen=True)
class Windows:
    """Words that every window kernel has, and the band that is asked for."""

    words: dict[str, int]
    y_first: int
    y_count: int
    out_h: int


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """Small images with every kind of border; rings just high enough, or the whole tensor."""
    size = [draw(st.integers(1, 8)) for _ in range(2)]
    taps = [draw(st.integers(1, 4)) for _ in range(2)]
    stride = [draw(st.integers(1, 3)) for _ in range(2)]
    dilation = [draw(st.integers(1, 3)) for _ in range(2)]
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    rows, columns = (axis(*values, padding) for values in zip(size, taps, stride, dilation))
    assume(rows.out > 0 and columns.out > 0)
    y_first = draw(st.integers(0, rows.out - 1))
    y_count = draw(st.integers(1, rows.out - y_first))
    needed = min((y_count - 1) * stride[0] + rows.extent, size[0])
    return Windows(
        {
            "in_h": size[0],
            "in_w": size[1],
            "out_w": columns.out,
            "filter_h": taps[0],
            "filter_w": taps[1],
            "stride_h": stride[0],
            "stride_w": stride[1],
            "dilation_h": dilation[0],
            "dilation_w": dilation[1],
            "pad_top": rows.pad,
            "pad_left": columns.pad,
            "x_ring": draw(st.sampled_from([size[0], needed])),
            "y_ring": draw(st.sampled_from([rows.out, y_count])),
        },
        y_first,
        y_count,
        rows.out,
    )


@dataclass(frozen=True)
class Requantization:
    """Multipliers, shifts and clamps that keep most results inside the range."""

    multiplier: np.ndarray
    shift: np.ndarray
    words: dict[str, int]


def requantization(rng: np.random.Generator, outputs: int, dtype: str) -> Requantization:
    """Random per-channel or per-tensor requantization to `dtype`."""
    per_channel = int(rng.integers(2))
    count = outputs if per_channel else 1
    info = np.iinfo(dtype)
    low, high = sorted(rng.integers(info.min, info.max + 1, 2).tolist())
    if rng.integers(2):
        low, high = info.min, info.max
    return Requantization(
        rng.integers(2**30, 2**31 - 1, count).astype(np.int32),
        rng.integers(-12, 2, count).astype(np.int8),
        {"act_min": low, "act_max": high, "per_channel": per_channel},
    )
