"""How int8 CONV_2D reaches the kernel that fits the core."""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint, packing
from thimble.lower import Lowering
from thimble.ops import columns, lanes
from thimble.ops.contract import Array


def lower_int8(n: Lowering, w: Array, bias: Array, words: dict[str, Any]) -> None:
    """Call thm_conv_2d_s8 with weights w [O, FH, FW, D], packed for the core."""
    x, y, arch = n.x(), n.y(), n.arch
    sums = w.astype(np.int64).sum(axis=(1, 2, 3))
    folded = fixedpoint.wrap32(bias.astype(np.int64) - x.zero_point * sums).astype(np.int32)
    outputs, filter_h, filter_w, depth = w.shape
    if arch.paired:
        from thimble.ops.paired import lower_convolution

        if lower_convolution(n, w, folded, {**words, "inside": _inside(words)}):
            return
    if arch.lanes:
        lanes.lower_conv_2d(n, w, folded, words)
        return
    if arch.columns and columns.lower_convolution(n, w, folded, words):
        return
    gathers = filter_h > 1 and filter_w * depth % arch.row_block != 0
    pitch = w[0].size
    if gathers:
        pitch = -(-pitch // arch.k_block) * arch.k_block
        patches = arch.patches(pitch)
    else:
        patches = 0 if _inside(words) else arch.positions
    segments = 1 if gathers else filter_h
    packed = packing.pack(w.reshape(outputs, segments, -1), arch.oc_block, arch.k_block)
    n.call(
        "thm_conv_2d_s8",
        w=n.const(packed, "weights"),
        bias=n.const(folded, "bias"),
        scratch=n.scratch(patches * pitch) if patches else None,
        x_zero=x.zero_point,
        output_offset=y.zero_point,
        oc_block=arch.oc_block,
        k_block=arch.k_block,
        gathers=int(gathers),
        segments=segments,
        patches=patches,
        alike=f"{filter_h}x{filter_w}, {bool(patches)}" if arch.shares else "",
        why=_why(n, bool(patches), gathers),
        **words,
    )


def _why(n: Lowering, crosses: bool, gathers: bool) -> str:
    if n.arch.paired:
        return "weights or scales beyond what pairs of outputs hold exactly"
    if gathers:
        return "rows of the filter fill no vector: patches are gathered"
    return "patches at the border are gathered" if crosses else "windows are read where they lie"


def _inside(p: dict[str, Any]) -> bool:
    """Whether every window lies inside the image, the products of each filter row side by side."""
    bottom = (p["out_h"] - 1) * p["stride_h"] + (p["filter_h"] - 1) * p["dilation_h"]
    right = (p["out_w"] - 1) * p["stride_w"] + (p["filter_w"] - 1) * p["dilation_w"]
    contiguous = p["filter_w"] == 1 or (p["dilation_w"] == 1 and p["depth"] == p["in_c"])
    unpadded = p["pad_top"] == 0 and p["pad_left"] == 0
    return contiguous and unpadded and bottom < p["in_h"] and right < p["in_w"]
