"""DEPTHWISE_CONV_2D for cores with the DSP extension: kernels/depthwise_conv_2d_3x3.h and
depthwise_conv_2d_planar.h, for one output a channel.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from thimble import fixedpoint, pairs
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.ops.conv_2d import gather_windows
from thimble.overlap import row_lead
from thimble.program import Window, signatures

_PLANES = 312  # THM_PLANAR_PLANES
_TAPS = 64  # THM_PLANAR_TAPS
_STRIP_3X3 = 50  # columns of y that thm_depthwise_conv_2d_3x3_s8 computes at a time, stride_w 1


def lower_planar(
    n: Lowering, w: Array, bias: Array, q: Array, s: Array, words: dict[str, Any]
) -> bool:
    """Call the kernel that fits w [FH, FW, C]; False where none does, or would not be exact."""
    channels = w.shape[2]
    x_zero, flat = n.x().zero_point, w.reshape(-1, channels).T
    sums = flat.astype(np.int64).sum(axis=1)
    layer = pairs.settle(
        pairs.Outputs(
            flat,
            fixedpoint.wrap32(bias.astype(np.int64) - x_zero * sums),
            np.broadcast_to(q, channels),
            np.broadcast_to(s, channels),
            n.y().zero_point,
            words["act_min"],
            words["act_max"],
        )
    )
    if not pairs.records_are_exact(layer):
        return False
    taps = layer.w.astype(np.int8).reshape(channels, w.shape[0], w.shape[1])
    if words["in_w"] == words["filter_w"] == words["out_w"] == 1:
        if n.keeps_rows:  # a row of one pixel is not worth taking apart
            return False
        taps, words = taps.transpose(0, 2, 1), _transposed(words)
    dilations = (words["dilation_h"], words["dilation_w"])
    extra: dict[str, int] | None = {}
    if taps.shape[1:] == (3, 3) and dilations == (1, 1) and words["stride_w"] <= 2:
        kernel, packed = "thm_depthwise_conv_2d_3x3_s8", pairs.pack_3x3(taps)
    else:
        kernel, packed = "thm_depthwise_conv_2d_planar_s8", pairs.pack_rows(taps, dilations[1])
        extra = _strips(words, packed.shape[2] // 2) if n.arch.planar else None
    if extra is None:
        return False
    # Rows are taken apart before outputs are written, but strip by strip.
    strip = extra.get("strip", _STRIP_3X3 // words["stride_w"])
    known = {*signatures()[kernel].params, "rows", "batches", "windows", "x", "y"}
    given = {
        **words,
        "channels": channels,
        "x_zero": x_zero,
        "output_offset": n.y().zero_point,
        **extra,
    }
    n.call(
        kernel,
        w=n.const(packed, "weights"),
        records=n.const(pairs.records(layer.bias, layer.multiplier, layer.shift), "records"),
        overwrites="x" if words["out_w"] <= strip else "",
        lead=_lead(words, channels) if words["out_w"] <= strip else None,
        why="3x3, columns apart by 1 or 2: rows of three taps in two words"
        if "3x3" in kernel
        else f"a channel at a time, {extra['strip']} columns of it",
        **{word: value for word, value in given.items() if word in known},
    )
    return True


def _lead(words: dict[str, Any], channels: int) -> int:
    if words["rows"] == 1:  # of columns that are taken apart before the first output
        return 0
    y_row, x_row = words["out_w"] * channels, words["in_w"] * channels
    return row_lead(words["rows"], y_row, x_row, words["stride_h"], words["pad_top"], unit=channels)


def _transposed(words: dict[str, Any]) -> dict[str, Any]:
    """An image of one column as an image of one row: the same memory, but taps side by side."""
    return {
        **words,
        **dict.fromkeys(("rows", "in_h", "x_ring", "y_ring", "filter_h"), 1),
        **dict.fromkeys(("stride_h", "dilation_h"), 1),
        "windows": {"x": Window()},
        "pad_top": 0,
        "in_w": words["in_h"],
        "out_w": words["rows"],
        "filter_w": words["filter_h"],
        "stride_w": words["stride_h"],
        "dilation_w": words["dilation_h"],
        "pad_left": words["pad_top"],
    }


def _strips(words: dict[str, Any], pairs_of_taps: int) -> dict[str, int] | None:
    """How many columns go at a time; None where not even one does."""
    slots = (words["filter_h"] - 1) * words["dilation_h"] + 1
    pitch = _PLANES // 4 // slots
    if pitch < pairs_of_taps or words["filter_h"] * pairs_of_taps > _TAPS:
        return None
    strip = min((pitch - pairs_of_taps) * 2 // words["stride_w"] + 1, words["out_w"])
    reach = (strip - 1) * words["stride_w"] // 2 + pairs_of_taps
    return {"words": pairs_of_taps, "strip": strip, "pitch": reach}


def _outputs(
    p: Any, geometry: dict[str, int], y_first: int, y_count: int, taps: Array, x: Array, y: Array
) -> None:
    """Rows [y_first, y_first + y_count) of y; taps [channels, filter_h, filter_w]."""
    bias, multiplier, shift = pairs.from_records(p.records, p.channels)
    flat = taps.astype(np.int64).reshape(p.channels, -1).T
    g = SimpleNamespace(**{**vars(p), **geometry, "in_c": p.channels})
    image = y[: p.y_ring * p.out_w * p.channels].reshape(p.y_ring, p.out_w, p.channels)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(g, oy, x, slice(0, p.channels), p.x_zero)
        patches = patches.reshape(p.out_w, -1, p.channels).astype(np.int64)
        acc = fixedpoint.wrap32((patches * flat).sum(axis=1) + bias)
        q = fixedpoint.mbqm(acc, multiplier, shift) + p.output_offset
        image[oy % p.y_ring] = np.clip(q, p.act_min, p.act_max)


def thm_depthwise_conv_2d_3x3_s8(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, records: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    p = SimpleNamespace(**vars(p), records=records)
    geometry = {"filter_h": 3, "filter_w": 3, "dilation_h": 1, "dilation_w": 1}
    _outputs(p, geometry, y_first, y_count, pairs.unpack_3x3(w, p.channels), x, y)


def thm_depthwise_conv_2d_planar_s8(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, records: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    p = SimpleNamespace(**vars(p), records=records)
    width = 2 * p.words + 1
    taps = w[: p.channels * p.filter_h * width].reshape(p.channels, p.filter_h, width)[:, :, 1:]
    geometry = {"filter_w": width - 1, "dilation_w": 1}
    _outputs(p, geometry, y_first, y_count, taps, x, y)
