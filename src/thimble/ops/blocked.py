"""DEPTHWISE_CONV_2D in blocks of sixteen channels: constants, lowering and twin of
kernels/depthwise_conv_2d_blocked.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.ops.conv_2d import gather_windows

LANES = 16
# Channel of the block at each place of a table of constants: 0, 4, 8, 12, 1, 5, ...
ORDER = np.arange(LANES).reshape(4, 4).T.reshape(-1)


def _blocks(table: Array) -> Array:
    """[..., channels] -> [..., blocks, 16]: repeated where that fills a block, else with zeros."""
    channels = table.shape[-1]
    if LANES % channels == 0:
        return np.tile(table, LANES // channels).reshape(*table.shape[:-1], 1, LANES)
    width = -(-channels // LANES) * LANES
    padded = np.zeros((*table.shape[:-1], width), table.dtype)
    padded[..., :channels] = table
    return padded.reshape(*table.shape[:-1], width // LANES, LANES)


def pack_weights(w: Array) -> Array:
    """w [taps, channels] -> [blocks, taps, 16], flat."""
    return np.ascontiguousarray(_blocks(w).transpose(1, 0, 2)).reshape(-1)


def pack_table(table: Array) -> Array:
    """One value a channel -> [blocks, 16] in the order of the lanes, flat."""
    return _blocks(table)[:, ORDER].reshape(-1)


def _unpack_table(table: Array, channels: int) -> Array:
    natural = np.empty((table.size // LANES, LANES), table.dtype)
    natural[:, ORDER] = table.reshape(-1, LANES)
    return natural.reshape(-1)[:channels]


def lower_blocked(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, words: dict[str, Any]
) -> None:
    """Call the kernel with weights w [FH, FW, C], multipliers q and shifts s [C] or [1]."""
    filter_h, filter_w, channels = w.shape
    x_zero = n.x().zero_point
    sums = w.astype(np.int64).sum(axis=(0, 1))
    folded = fixedpoint.wrap32(bias.astype(np.int64) - x_zero * sums).astype(np.int32)
    span_h = (filter_h - 1) * words["dilation_h"]
    span_w = (filter_w - 1) * words["dilation_w"]
    together = 1
    if channels < LANES and LANES % channels == 0 and words["stride_w"] == 1:
        together = LANES // channels
    last = (-(-words["out_w"] // together) - 1) * together * words["stride_w"]
    columns = last + span_w + 1
    bottom = (words["rows"] - 1) * words["stride_h"] + span_h
    crosses = (
        words["pad_top"] > 0
        or words["pad_left"] > 0
        or bottom >= words["in_h"]
        or (words["out_w"] - 1) * words["stride_w"] + span_w >= words["in_w"]
    )
    copies = crosses or (filter_h, filter_w, words["dilation_w"]) == (3, 3, 1)
    addresses = -(-4 * filter_h * filter_w // LANES) * LANES
    rows = (span_h + 2) * -(-channels // LANES) * LANES * columns if copies else 0
    n.call(
        "thm_depthwise_conv_2d_blocked_s8",
        w=n.const(pack_weights(w.reshape(-1, channels)), "weights"),
        bias=n.const(pack_table(folded), "bias"),
        multiplier=n.const(pack_table(np.broadcast_to(q, channels)), "multiplier"),
        shift=n.const(pack_table(np.broadcast_to(s, channels)), "shift"),
        scratch=n.scratch(addresses + rows),
        x_zero=x_zero,
        output_offset=n.y().zero_point,
        copies=int(copies),
        columns=columns,
        **words,
    )


def thm_depthwise_conv_2d_blocked_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    scratch: Array | None,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    channels, taps = p.in_c, p.filter_h * p.filter_w
    blocks = -(-channels // LANES)
    weights = w[: blocks * taps * LANES].reshape(blocks, taps, LANES).transpose(1, 0, 2)
    weights = weights.reshape(taps, -1)[:, :channels].astype(np.int64)
    b, q, s = (_unpack_table(t[: blocks * LANES], channels) for t in (bias, multiplier, shift))
    image = y[: p.y_ring * p.out_w * channels].reshape(p.y_ring, p.out_w, channels)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, slice(0, channels), p.x_zero)
        patches = patches.reshape(p.out_w, taps, channels)
        acc = fixedpoint.wrap32((patches.astype(np.int64) * weights).sum(axis=1) + b)
        values = fixedpoint.mbqm(acc, q, s) + p.output_offset
        image[oy % p.y_ring] = np.clip(values, p.act_min, p.act_max)
