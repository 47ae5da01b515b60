"""kernels/conv_2d_paired.h and fully_connected_paired.h: lowering of CONV_2D, and the twins."""

from __future__ import annotations

from typing import Any

import numpy as np

from thimble import fixedpoint, pairs
from thimble.lower import Lowering
from thimble.ops.contract import Array
from thimble.ops.conv_2d import gather_windows, multipliers
from thimble.overlap import position_lead

JOINT_POSITIONS = 64  # fewer gain little for the flash that joint weights take


def lower_convolution(n: Lowering, w: Array, folded: Array, words: dict[str, Any]) -> bool:
    """Call the kernel that fits w [O, FH, FW, D]; False where its constants would not be exact.

    words["inside"]: whether no window crosses the border, so that nothing needs scratch.
    """
    part = slice(words["y_channel"], words["y_channel"] + words["outputs"])
    q, s = (np.broadcast_to(table, words["out_c"])[part] for table in multipliers(n, n.x(1)))
    layer = pairs.Outputs(
        w.reshape(len(w), -1),
        folded,
        q,
        s,
        n.y().zero_point,
        words["act_min"],
        words["act_max"],
    )
    constants = pairs.prepare_joint(layer) if _is_joint(n, w, words) else None
    kernel, why = "thm_conv_2d_joint_s8", "few weights, many positions: two outputs a product"
    if constants is None:
        constants = pairs.prepare(layer, segments=w.shape[1])
        kernel = pairs.kernel("thm_conv_2d_{}_s8", w.shape[1], w.shape[2] * w.shape[3])
        why = why_of(kernel)
    if constants is None:
        return False
    elsewhere = ("multiplier", "shift", "per_channel", "inside")
    gathers = not words["inside"] or "deep" in kernel
    # Whole patches are widened before their outputs are written.
    is_whole = "deep" not in kernel and words["outputs"] == words["out_c"]
    is_pointwise = w.shape[1] == w.shape[2] == words["stride_h"] == words["stride_w"] == 1
    n.call(
        kernel,
        w=n.const(constants[0], "weights"),
        records=n.const(constants[1], "biases and multipliers"),
        scratch=n.scratch(w.shape[2] * w.shape[3]) if gathers else None,
        x_zero=n.x().zero_point,
        output_offset=n.y().zero_point,
        lead=position_lead(words) if is_whole else None,
        overwrites="x" if is_whole and is_pointwise and words["in_c"] == words["out_c"] else "",
        why=why,
        **{word: value for word, value in words.items() if word not in elsewhere},
    )
    return True


def why_of(kernel: str) -> str:
    """Why a kernel of pairs was chosen."""
    chunks = ", in chunks: too many products for one patch" if "deep" in kernel else ""
    return f"two outputs share 16 bits of weights, exact for these{chunks}"


def _is_joint(n: Lowering, w: Array, words: dict[str, Any]) -> bool:
    """Whether few weights meet many positions."""
    return w.size <= n.arch.joint_weights and words["out_h"] * words["out_w"] >= JOINT_POSITIONS


# --- twins ----------------------------------------------------------------------------------------


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
    flat = pairs.unpack(w, p.outputs, p.filter_h, p.filter_w * p.depth)
    _convolve(p, y_first, y_count, x, flat.reshape(p.outputs, -1), records, y)


thm_conv_2d_deep_s8 = thm_conv_2d_paired_s8


def thm_conv_2d_joint_s8(
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
    flat = pairs.unpack_joint(w, p.outputs, p.filter_h * p.filter_w * p.depth)
    _convolve(p, y_first, y_count, x, flat, records, y)


def _convolve(
    p: Any, y_first: int, y_count: int, x: Array, flat: Array, records: Array, y: Array
) -> None:
    """With weights flat [outputs, products]."""
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
