"""kernels/conv_2d_columns.h, patches that lie side by side: lowering of CONV_2D, and the twin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from thimble import fixedpoint, packing
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.overlap import row_lead

# Rows of patches are computed together up to so many positions, while they take less than this part
# of the input and output.
POSITIONS, SMALL = 32, 1 / 8
# A single row may take this part of them.
MOST = 1 / 4


def lower_convolution(n: Lowering, w: Array, folded: Array, words: dict[str, Any]) -> bool:
    """Call the kernel with w [O, FH, FW, C]; False where windows of one row need no copy, where
    a patch is no run of columns, or where copies would take much memory."""
    outputs, filter_h, filter_w, depth = w.shape
    is_dilated = filter_w > 1 and words["dilation_w"] > 1
    if filter_h == 1 or is_dilated or depth != words["in_c"]:
        return False
    columns = (words["out_w"] - 1) * words["stride_w"] + filter_w
    row_bytes = columns * filter_h * depth
    image_bytes = words["in_h"] * words["in_w"] * depth + words["out_h"] * words["out_w"] * outputs
    if row_bytes > MOST * image_bytes:
        return False
    together = -(-POSITIONS // words["out_w"])
    together = min(together, max(int(SMALL * image_bytes) // row_bytes, 1), words["out_h"])
    arch = n.arch
    packed = packing.pack(
        w.transpose(0, 2, 1, 3).reshape(outputs, 1, -1), arch.oc_block, arch.k_block
    )
    elsewhere = ("dilation_w", "x_channel", "y_channel", "depth", "outputs", "out_h")
    n.call(
        "thm_conv_2d_columns_s8",
        w=n.const(packed, "weights"),
        bias=n.const(folded, "bias"),
        scratch=n.scratch(together * row_bytes + arch.k_block),
        x_zero=n.x().zero_point,
        output_offset=n.y().zero_point,
        oc_block=arch.oc_block,
        k_block=arch.k_block,
        columns=columns,
        together=together,
        alike=f"{filter_h}x{filter_w}" if arch.shares else "",
        lead=row_lead(
            words["out_h"],
            words["out_w"] * outputs,
            words["in_w"] * depth,
            words["stride_h"],
            words["pad_top"],
            unit=1,
        ),
        why="rows of the filter fill no vector: rows of the input are interleaved by column",
        **{word: value for word, value in words.items() if word not in elsewhere},
    )
    return True


def thm_conv_2d_columns_s8(
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
    from thimble.ops.conv_2d import gather_windows

    products = p.filter_h * p.filter_w * p.in_c
    flat = packing.unpack(w, p.out_c, 1, products, p.oc_block, p.k_block).reshape(p.out_c, -1)
    image = y[: p.y_ring * p.out_w * p.out_c].reshape(p.y_ring, p.out_w, p.out_c)
    window = SimpleNamespace(**{**vars(p), "dilation_w": 1})
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(window, oy, x, slice(0, p.in_c), p.x_zero)
        patches = patches.transpose(0, 2, 1, 3).reshape(p.out_w, -1)
        # float64 holds these sums exactly and has a fast matrix product.
        sums = (patches.astype(np.float64) @ flat.T.astype(np.float64)).astype(np.int64)
        acc = fixedpoint.wrap32(sums + bias[: p.out_c])
        values = fixedpoint.mbqm(acc, multiplier, shift) + p.output_offset
        image[oy % p.y_ring] = np.clip(values, p.act_min, p.act_max)
