"""The NumPy twins of kernels/conv_2d_paired.h and fully_connected_paired.h."""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint, pairs
from thimble.ops.contract import Array
from thimble.ops.conv_2d import gather_windows


def thm_conv_2d_paired_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    records: Array,
    scratch: Array | None,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    length = p.filter_w * p.depth
    flat = pairs.unpack(w, p.outputs, p.filter_h, length).reshape(p.outputs, -1)
    bias, multiplier, shift = pairs.from_records(records, p.outputs)
    channels = slice(p.x_channel, p.x_channel + p.depth)
    image = y[: p.y_ring * p.out_w * p.out_c].reshape(p.y_ring, p.out_w, p.out_c)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, channels, p.x_zero).reshape(p.out_w, -1)
        # float64 holds these sums exactly and has a fast matrix product.
        sums = (patches.astype(np.float64) @ flat.T.astype(np.float64)).astype(np.int64)
        q = fixedpoint.mbqm(fixedpoint.wrap32(sums + bias), multiplier, shift) + p.output_offset
        place = slice(p.y_channel, p.y_channel + p.outputs)
        image[oy % p.y_ring, :, place] = np.clip(q, p.act_min, p.act_max)


thm_conv_2d_deep_s8 = thm_conv_2d_paired_s8


def thm_fully_connected_paired_s8(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, records: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    weights = pairs.unpack(w, p.outputs, 1, p.depth)[:, 0, :].astype(np.int64)
    bias, multiplier, shift = pairs.from_records(records, p.outputs)
    rows = slice(y_first, y_first + y_count)
    end = y_first + y_count
    sums = x[: end * p.depth].reshape(-1, p.depth)[rows].astype(np.int64) @ weights.T
    q = fixedpoint.mbqm(fixedpoint.wrap32(sums + bias), multiplier, shift) + p.output_offset
    y[: end * p.outputs].reshape(-1, p.outputs)[rows] = np.clip(q, p.act_min, p.act_max)


thm_fully_connected_deep_s8 = thm_fully_connected_paired_s8
