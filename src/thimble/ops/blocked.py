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
from thimble.overlap import row_lead

LANES = 16
WORDS = 36  # of a record: biases, multipliers, shifts of a byte
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


def pack_records(bias: Array, q: Array, s: Array) -> Array:
    """int32 biases and multipliers, int8 shifts [channels] -> int32 [blocks, 36], flat."""
    parts = [_blocks(table)[:, ORDER] for table in (bias, q, s)]
    if len(s) % LANES and LANES % len(s):
        parts[2][-1][len(s) % LANES <= ORDER] = s[0]  # no shift that no channel has
    parts[2] = np.ascontiguousarray(parts[2].astype(np.int8)).view("<i4")
    return np.concatenate(parts, axis=1).astype(np.int32).reshape(-1)


def _unpack_records(records: Array, channels: int) -> tuple[Array, Array, Array]:
    blocks = -(-channels // LANES)
    words = records[: blocks * WORDS].reshape(blocks, WORDS)
    shifts = np.ascontiguousarray(words[:, 2 * LANES :]).view(np.int8)
    natural = np.empty((3, blocks, LANES), np.int32)
    for table, part in zip(natural, (words[:, :LANES], words[:, LANES : 2 * LANES], shifts)):
        table[:, ORDER] = part
    bias, q, s = natural.reshape(3, -1)[:, :channels]
    return bias, q, s


def scratch_words(p: dict[str, int], channels: int, rows: int) -> dict[str, int]:
    """Words `copies` and `columns` for `rows` output rows of geometry p; bytes of `scratch`."""
    span_h = (p["filter_h"] - 1) * p["dilation_h"]
    span_w = (p["filter_w"] - 1) * p["dilation_w"]
    together = 1  # positions in one vector
    if LANES % channels == 0 and p["stride_w"] == 1:
        together = LANES // channels
    last = (-(-p["out_w"] // together) - 1) * together * p["stride_w"]
    columns = last + span_w + 1
    crosses = (
        p["pad_top"] > 0
        or p["pad_left"] > 0
        or (rows - 1) * p["stride_h"] + span_h >= p["in_h"]
        or (p["out_w"] - 1) * p["stride_w"] + span_w >= p["in_w"]
    )
    copies = crosses or (p["filter_h"], p["filter_w"], p["dilation_w"]) == (3, 3, 1)
    addresses = -(-4 * p["filter_h"] * p["filter_w"] // LANES) * LANES
    # The rows of a window, and one of padding.
    kept = (span_h + 2) * -(-channels // LANES) * LANES * columns if copies else 0
    return {"copies": int(copies), "columns": columns, "scratch": addresses + kept}


def _lead(words: dict[str, Any], channels: int) -> int:
    y_row, x_row = words["out_w"] * channels, words["in_w"] * channels
    return row_lead(words["rows"], y_row, x_row, words["stride_h"], words["pad_top"], unit=1)


def lower_blocked(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, words: dict[str, Any]
) -> None:
    """Call the kernel with weights w [FH, FW, C], multipliers q and shifts s [C] or [1]."""
    channels = w.shape[2]
    x_zero = n.x().zero_point
    sums = w.astype(np.int64).sum(axis=(0, 1))
    folded = fixedpoint.wrap32(bias.astype(np.int64) - x_zero * sums).astype(np.int32)
    q, s = np.broadcast_to(q, channels), np.broadcast_to(s, channels)
    extra: dict[str, Any] = {**scratch_words(words, channels, words["rows"])}
    n.call(
        "thm_depthwise_conv_2d_blocked_s8",
        w=n.const(pack_weights(w.reshape(-1, channels)), "weights"),
        records=n.const(pack_records(folded, q, s), "biases, multipliers, shifts"),
        scratch=n.scratch(extra.pop("scratch")),
        x_zero=x_zero,
        output_offset=n.y().zero_point,
        is_down=int((s < 0).all()),
        alike=f"{w.shape[0]}x{w.shape[1]}",
        overwrites="x" if extra["copies"] else "",
        lead=_lead(words, channels) if extra["copies"] else None,
        why="sixteen channels in the lanes of a vector, weights in registers",
        **extra,
        **words,
    )


def thm_depthwise_conv_2d_blocked_s8(
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
    blocks = -(-channels // LANES)
    weights = w[: blocks * taps * LANES].reshape(blocks, taps, LANES).transpose(1, 0, 2)
    weights = weights.reshape(taps, -1)[:, :channels].astype(np.int64)
    bias, q, s = _unpack_records(records, channels)
    image = y[: p.y_ring * p.out_w * channels].reshape(p.y_ring, p.out_w, channels)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, slice(0, channels), p.x_zero)
        patches = patches.reshape(p.out_w, taps, channels)
        acc = fixedpoint.wrap32((patches.astype(np.int64) * weights).sum(axis=1) + bias)
        values = fixedpoint.mbqm(acc, q, s) + p.output_offset
        image[oy % p.y_ring] = np.clip(values, p.act_min, p.act_max)
