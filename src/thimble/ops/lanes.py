"""CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D with sums of different outputs in the lanes of a
vector: constants, lowering and twins of kernels/conv_2d_lanes.h and depthwise_conv_2d_lanes.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint, packing
from thimble.lower import Lowering
from thimble.ops import conv_2d
from thimble.ops.contract import Array


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


def columns_of(p: dict[str, Any], together: int = 1) -> int:
    """Columns of a copied row: all that windows reach from -pad_left on, `together` at a time."""
    last = (-(-p["out_w"] // together) * together - 1) * p["stride_w"]
    return int(last + (p["filter_w"] - 1) * p["dilation_w"] + 1)


def crosses(p: dict[str, Any], out_h: int) -> bool:
    """Whether a window crosses the border of the image."""
    bottom = (out_h - 1) * p["stride_h"] + (p["filter_h"] - 1) * p["dilation_h"] - p["pad_top"]
    right = columns_of(p) - 1 - p["pad_left"]
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
    lies_whole = filter_w == 1 or (words["dilation_w"] == 1 and depth == words["in_c"])
    length = filter_w * depth if lies_whole else depth
    columns = 0
    if length % arch.k_block or crosses(words, words["out_h"]):
        columns = columns_of(words)
        lies_whole = filter_w == 1 or words["dilation_w"] == 1
    runs = filter_h if lies_whole else filter_h * filter_w
    packed = packing.pack(w.reshape(outputs, runs, -1), arch.oc_block, arch.k_block)
    q, s = np.broadcast_to(q, outputs), np.broadcast_to(s, outputs)
    span = (filter_h - 1) * words["dilation_h"] + 1
    n.call(
        "thm_conv_2d_lanes_s8",
        w=n.const(packed, "weights"),
        records=n.const(pack_records(folded, q, s, arch.oc_block), "biases, multipliers, shifts"),
        scratch=n.scratch(span * columns * depth + arch.k_block) if columns else None,
        x_offset=arch.x_offset,
        lanes=arch.oc_block,
        k_block=arch.k_block,
        columns=columns,
        why=f"{arch.oc_block} outputs in the lanes of a vector",
        **words,
    )


def lower_conv_2d(n: Lowering, w: Array, bias: Array, words: dict[str, Any]) -> None:
    """The same with the words of thm_conv_2d_s8; y_channel is the first of these outputs."""
    part = slice(words["y_channel"], words["y_channel"] + words["outputs"])
    q, s = (
        np.broadcast_to(table, words["out_c"])[part] for table in conv_2d.multipliers(n, n.x(1))
    )
    elsewhere = ("multiplier", "shift", "per_channel")
    words = {word: value for word, value in words.items() if word not in elsewhere}
    offsets = {"x_zero": n.x().zero_point, "output_offset": n.y().zero_point}
    lower_conv(n, w, bias, q, s, {**words, **offsets})


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


def order(lanes: int) -> Array:
    """Channel of a block at each of its places in kernels/depthwise_conv_2d_lanes.h."""
    return np.arange(lanes).reshape(-1, 4, 4).transpose(1, 0, 2).reshape(-1)


def _blocks(table: Array, lanes: int) -> Array:
    """[..., channels] -> [..., blocks, lanes], ordered; repeated where that fills a block."""
    channels = table.shape[-1]
    if lanes % channels == 0:
        padded = np.tile(table, lanes // channels)
    else:
        padded = np.zeros((*table.shape[:-1], -(-channels // lanes) * lanes), table.dtype)
        padded[..., :channels] = table
    return padded.reshape(*table.shape[:-1], -1, lanes)[..., order(lanes)]


def _unblock(table: Array, channels: int) -> Array:
    """The inverse of `_blocks`."""
    lanes = table.shape[-1]
    natural = np.empty_like(table)
    natural[..., order(lanes)] = table
    return natural.reshape(*table.shape[:-2], -1)[..., :channels]


def pack_depthwise(w: Array, lanes: int, k_block: int) -> Array:
    """w [taps, channels] -> [blocks, taps / k_block, lanes, k_block], flat."""
    taps, channels = w.shape
    padded = np.zeros((-(-taps // k_block) * k_block, channels), w.dtype)
    padded[:taps] = w
    blocks = _blocks(padded, lanes).reshape(-1, k_block, -(-channels // lanes), lanes)
    return np.ascontiguousarray(blocks.transpose(2, 0, 3, 1)).reshape(-1)


def pack_depthwise_records(bias: Array, q: Array, s: Array, lanes: int) -> Array:
    """Tables [channels] -> int32 [blocks, 3, lanes], flat."""
    table = _blocks(np.stack([bias, q, s]).astype(np.int32), lanes)
    return np.ascontiguousarray(table.transpose(1, 0, 2)).reshape(-1)


def lower_depthwise(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, words: dict[str, Any]
) -> None:
    """Call the kernel with weights w [FH, FW, C], multipliers q and shifts s [C] or [1]."""
    filter_h, _, channels = w.shape
    arch, x_zero, lanes = n.arch, n.x().zero_point, n.arch.depthwise_lanes
    sums = w.astype(np.int64).sum(axis=(0, 1))
    folded = fixedpoint.wrap32(bias.astype(np.int64) - (x_zero + arch.x_offset) * sums)
    stride = words["stride_w"]
    follow = stride == 1 or (stride == 2 and channels % 4 == 0)
    together = lanes // channels if lanes % channels == 0 and follow else 1
    columns = columns_of(words, together)
    if together == 1 and not crosses(words, words["rows"]):
        columns = 0
    span = (filter_h - 1) * words["dilation_h"] + 1
    q, s = np.broadcast_to(q, channels), np.broadcast_to(s, channels)
    records = pack_depthwise_records(folded.astype(np.int32), q, s, lanes)
    n.call(
        "thm_depthwise_conv_2d_lanes_s8",
        w=n.const(pack_depthwise(w.reshape(-1, channels), lanes, arch.k_block), "weights"),
        records=n.const(records, "biases, multipliers, shifts"),
        scratch=n.scratch(span * columns * channels + 2 * lanes) if columns else None,
        x_zero=x_zero,
        x_offset=arch.x_offset,
        output_offset=n.y().zero_point,
        lanes=lanes,
        k_block=arch.k_block,
        together=together,
        columns=columns,
        why=f"{lanes} channels in the lanes of a vector",
        **words,
    )


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
        patches = conv_2d.gather_windows(p, oy, x, channels, p.x_zero).reshape(p.out_w, -1)
        # float64 holds these sums exactly (below 2^53) and has a fast matrix product.
        sums = ((patches.astype(np.float64) + p.x_offset) @ flat.T).astype(np.int64)
        values = fixedpoint.mbqm(fixedpoint.wrap32(sums + bias), q, s) + p.output_offset
        place = slice(p.y_channel, p.y_channel + p.outputs)
        image[oy % p.y_ring, :, place] = np.clip(values, p.act_min, p.act_max)


def thm_depthwise_conv_2d_lanes_s8(
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
    channels, taps = p.in_c, p.filter_h * p.filter_w
    blocks, groups = -(-channels // p.lanes), -(-taps // p.k_block)
    cut = w[: blocks * groups * p.lanes * p.k_block].reshape(blocks, groups, p.lanes, p.k_block)
    by_tap = cut.transpose(1, 3, 0, 2).reshape(-1, blocks, p.lanes)
    weights = _unblock(by_tap, channels)[:taps].astype(np.int64)
    table = records[: blocks * 3 * p.lanes].reshape(blocks, 3, p.lanes).transpose(1, 0, 2)
    bias, q, s = _unblock(table, channels).astype(np.int64)
    image = y[: p.y_ring * p.out_w * channels].reshape(p.y_ring, p.out_w, channels)
    for oy in range(y_first, y_first + y_count):
        patches = conv_2d.gather_windows(p, oy, x, slice(0, channels), p.x_zero)
        patches = patches.reshape(p.out_w, taps, channels).astype(np.int64) + p.x_offset
        acc = fixedpoint.wrap32((patches * weights).sum(axis=1) + bias)
        values = fixedpoint.mbqm(acc, q, s) + p.output_offset
        image[oy % p.y_ring] = np.clip(values, p.act_min, p.act_max)
