"""CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D with sums of different outputs in the lanes of a
vector: constants, lowering and twins of kernels/conv_2d_lanes.h and depthwise_conv_2d_lanes.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint, packing
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.ops.conv_2d import gather_windows


def pack_records(bias: Array, q: Array, s: Array, lanes: int) -> Array:
    """Tables [outputs] -> int32 [blocks, 3, lanes], flat; beyond the end all zero."""
    outputs = len(bias)
    table = np.zeros((3, -(-outputs // lanes) * lanes), np.int32)
    table[:, :outputs] = bias, q, s
    return np.ascontiguousarray(table.reshape(3, -1, lanes).transpose(1, 0, 2)).reshape(-1)


def _unpack_records(records: Array, outputs: int, lanes: int) -> Array:
    blocks = -(-outputs // lanes)
    table = records[: blocks * 3 * lanes].reshape(blocks, 3, lanes).transpose(1, 0, 2)
    return table.reshape(3, -1)[:, :outputs].astype(np.int64)


def _columns(p: dict[str, Any], out_h: int, together: int = 1) -> int:
    """Columns of a copied row: all that windows reach from -pad_left on, `together` at a time."""
    last = (-(-p["out_w"] // together) * together - 1) * p["stride_w"]
    return int(last + (p["filter_w"] - 1) * p["dilation_w"] + 1)


def _crosses(p: dict[str, Any], out_h: int) -> bool:
    """Whether a window crosses the border of the image."""
    bottom = (out_h - 1) * p["stride_h"] + (p["filter_h"] - 1) * p["dilation_h"] - p["pad_top"]
    right = _columns(p, out_h) - 1 - p["pad_left"]
    return bool(p["pad_top"] or p["pad_left"] or bottom >= p["in_h"] or right >= p["in_w"])


def lower_conv(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, words: dict[str, Any]
) -> None:
    """Call the kernel with weights w [O, FH, FW, D], multipliers q and shifts s [O] or [1].

    bias [O] holds the input offset.
    """
    outputs, filter_h, filter_w, depth = w.shape
    arch = n.arch
    sums = w.astype(np.int64).sum(axis=(1, 2, 3))
    folded = fixedpoint.wrap32(bias.astype(np.int64) - arch.x_offset * sums).astype(np.int32)
    columns = _columns(words, words["out_h"]) if _crosses(words, words["out_h"]) else 0
    pixel = depth if columns else words["in_c"]
    is_run = filter_w == 1 or (words["dilation_w"] == 1 and depth == pixel)
    runs = filter_h if is_run else filter_h * filter_w
    packed = packing.pack(w.reshape(outputs, runs, -1), arch.oc_block, arch.k_block)
    q, s = np.broadcast_to(q, outputs), np.broadcast_to(s, outputs)
    span = (filter_h - 1) * words["dilation_h"] + 1
    n.call(
        "thm_conv_2d_lanes_s8",
        w=n.const(packed, "weights"),
        records=n.const(pack_records(folded, q, s, arch.oc_block), "biases, multipliers, shifts"),
        scratch=n.scratch(span * columns * depth) if columns else None,
        x_offset=arch.x_offset,
        lanes=arch.oc_block,
        k_block=arch.k_block,
        columns=columns,
        **words,
    )


def lower_fully_connected(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, batch: int, low: int, high: int
) -> None:
    """The same for w [O, K]: a pointwise convolution of an image of `batch` rows."""
    outputs, depth = w.shape
    words: dict[str, Any] = {
        **dict.fromkeys(("rows", "in_h", "out_h", "x_ring", "y_ring"), batch),
        **dict.fromkeys(("in_c", "depth"), depth),
        **dict.fromkeys(("out_c", "outputs"), outputs),
        **dict.fromkeys(("in_w", "out_w", "filter_h", "filter_w"), 1),
        **dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w"), 1),
        **dict.fromkeys(("x_channel", "y_channel", "pad_top", "pad_left", "x_zero"), 0),
        "x": n.input(),
        "y": n.output(),
        "output_offset": n.y().zero_point,
        "act_min": low,
        "act_max": high,
    }
    lower_conv(n, w.reshape(outputs, 1, 1, depth), bias, q, s, words)


# --- twins ----------------------------------------------------------------------------------------


def thm_conv_2d_lanes_s8(
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
    pixel = p.depth if p.columns else p.in_c
    is_run = p.filter_w == 1 or (p.dilation_w == 1 and p.depth == pixel)
    runs, length = (p.filter_h, p.filter_w * p.depth) if is_run else (0, p.depth)
    runs = runs or p.filter_h * p.filter_w
    weights = packing.unpack(w, p.outputs, runs, length, p.lanes, p.k_block)
    flat = weights.reshape(p.outputs, -1).astype(np.float64)
    bias, q, s = _unpack_records(records, p.outputs, p.lanes)
    channels = slice(p.x_channel, p.x_channel + p.depth)
    image = y[: p.y_ring * p.out_w * p.out_c].reshape(p.y_ring, p.out_w, p.out_c)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, channels, p.x_zero).reshape(p.out_w, -1)
        # float64 holds these sums exactly (below 2^53) and has a fast matrix product.
        sums = ((patches.astype(np.float64) + p.x_offset) @ flat.T).astype(np.int64)
        values = fixedpoint.mbqm(fixedpoint.wrap32(sums + bias), q, s) + p.output_offset
        place = slice(p.y_channel, p.y_channel + p.outputs)
        image[oy % p.y_ring, :, place] = np.clip(values, p.act_min, p.act_max)
