"""Sliding windows: output size and padding of CONV_2D, DEPTHWISE_CONV_2D and the pools, TFLite's
rule.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One spatial axis: `out` positions, `pad` elements before the first input element."""

    out: int
    pad: int
    extent: int  # elements that a window spans, dilation counted


def axis(size: int, window: int, stride: int, dilation: int, padding: str) -> Axis:
    """Geometry along one axis; padding "SAME" or "VALID"; size, window, stride, dilation >= 1."""
    extent = (window - 1) * dilation + 1
    if padding == "SAME":
        out = -(-size // stride)
        total = max((out - 1) * stride + extent - size, 0)
        return Axis(out, total // 2, extent)
    return Axis(max((size + stride - extent) // stride, 0), 0, extent)
