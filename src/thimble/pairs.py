"""Constants of convolutions and fully connected layers for cores with the DSP extension.

Two outputs share an int16 of the weights, and bias, multiplier and shift of an output are one
record (kernels/arch/pairs.h, arch/dsp.h). Both are exact only within bounds that are checked here
against the very weights; `prepare` says None where they are not met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble import fixedpoint

Array = np.ndarray

_SUM_LIMIT = 1 << 23
_MOST_PRODUCTS = 640  # 2 * THM_PAIR_WORDS
_MOST_JOINT_PRODUCTS = 320  # THM_JOINT_PRODUCTS


@dataclass(frozen=True)
class Outputs:
    """Weights [outputs, products], input offset folded into the bias, and the requantization."""

    w: Array
    bias: Array
    multiplier: Array
    shift: Array
    output_offset: int
    act_min: int
    act_max: int


def settle(layer: Outputs) -> Outputs:
    """The same function, where an output that no input can change has zero weights.

    Such are channels with a multiplier that rounds to nothing, or that the activation always cuts.
    Their multipliers may be out of all bounds; the new ones are 1/4.
    """
    w = layer.w.astype(np.int64)
    bias = layer.bias.astype(np.int64)
    lowest = bias + np.minimum(-128 * w, 127 * w).sum(axis=1)
    highest = bias + np.maximum(-128 * w, 127 * w).sum(axis=1)
    ends = [
        np.clip(
            fixedpoint.mbqm(fixedpoint.wrap32(acc), layer.multiplier, layer.shift)
            + layer.output_offset,
            layer.act_min,
            layer.act_max,
        )
        for acc in (lowest, highest)
    ]
    constant = (ends[0] == ends[1]) & (lowest >= -(2**31)) & (highest < 2**31)
    return Outputs(
        np.where(constant[:, None], 0, layer.w),
        np.where(constant, 4 * (ends[0] - layer.output_offset), bias),
        np.where(constant, 1 << 30, layer.multiplier),
        np.where(constant, -1, layer.shift),
        layer.output_offset,
        layer.act_min,
        layer.act_max,
    )


def prepare(layer: Outputs, segments: int) -> tuple[Array, Array] | None:
    """(packed weights, records) for kernels/conv_2d_paired.h, or None where they are not exact."""
    done = settle(layer)
    outputs, products = done.w.shape
    is_deep = "deep" in kernel("{}", segments, products // segments)
    if not records_are_exact(done, 1 << 30 if is_deep else _SUM_LIMIT):
        return None
    if not _pairs_are_exact(done.w):
        return None
    packed = pack(done.w.reshape(outputs, segments, products // segments))
    return packed, records(done.bias, done.multiplier, done.shift)


def prepare_joint(layer: Outputs) -> tuple[Array, Array] | None:
    """(packed weights, records) for thm_conv_2d_joint_s8, or None where they are not exact."""
    done = settle(layer)
    size = np.abs(done.w.astype(np.int64))
    size = np.pad(size, ((0, 0), (0, size.shape[1] % 2)))
    # Two products of an output, with any x in [-128, 127], stay within an int16.
    fits = bool((size[:, 0::2] + size[:, 1::2] <= 255).all())
    if size.shape[1] > _MOST_JOINT_PRODUCTS or not fits or not records_are_exact(done):
        return None
    return pack_joint(done.w), records(done.bias, done.multiplier, done.shift)


def pack_joint(w: Array) -> Array:
    """w [outputs, products] int8 -> flat int32 [outputs/4][products/2][AB, AB, CD, CD], a word
    65536 * A + B for each product, zeros up to four outputs and two products.
    """
    outputs, products = w.shape
    groups, twos = -(-outputs // 4), -(-products // 2)
    padded = np.zeros((groups * 4, twos * 2), np.int64)
    padded[:outputs, :products] = w
    cut = padded.reshape(groups, 2, 2, twos, 2)  # [groups][AB, CD][A, B][twos][x]
    words = 65536 * cut[:, :, 0] + cut[:, :, 1]
    return np.ascontiguousarray(words.transpose(0, 2, 1, 3)).reshape(-1).astype(np.int32)


def unpack_joint(packed: Array, outputs: int, products: int) -> Array:
    """The inverse: flat int32 -> w [outputs, products]."""
    groups, twos = -(-outputs // 4), -(-products // 2)
    words = packed[: groups * twos * 4].reshape(groups, twos, 2, 2).astype(np.int64)
    b = ((words + 2**15) & 0xFFFF) - 2**15
    both = np.stack([(words - b) >> 16, b], 3)  # [groups][twos][AB, CD][A, B][x]
    whole = both.transpose(0, 2, 3, 1, 4).reshape(groups * 4, twos * 2)
    return whole[:outputs, :products].astype(np.int8)


def pack_3x3(w: Array) -> Array:
    """w [channels, 3, 3] int8 -> flat int32 [channels][3], {w0, w1, w1, w2} of each row."""
    return np.ascontiguousarray(w[:, :, [0, 1, 1, 2]]).view(np.int32).reshape(-1)


def unpack_3x3(packed: Array, channels: int) -> Array:
    """The inverse: flat int32 -> w [channels, 3, 3]."""
    return packed[: 3 * channels].reshape(channels, 3, 1).view(np.int8)[:, :, [0, 1, 3]]


def pack_rows(w: Array, dilation: int) -> Array:
    """w [channels, FH, FW] -> rows dilated with zeros, one zero before them and one or two after.

    [channels, FH, K / 2 * 2 + 3], K = (FW - 1) * dilation + 1.
    """
    channels, filter_h, filter_w = w.shape
    reach = (filter_w - 1) * dilation + 1
    rows = np.zeros((channels, filter_h, reach // 2 * 2 + 3), w.dtype)
    rows[:, :, 1 : reach + 1 : dilation] = w
    return rows


def records(bias: Array, multiplier: Array, shift: Array) -> Array:
    """{bias * 2^8 + right shift - 1, multiplier} of each output, zeros up to four: flat int32."""
    outputs = len(bias)
    table = np.zeros((-(-outputs // 4) * 4, 2), np.int64)
    table[:outputs, 0] = bias.astype(np.int64) * 256 + (-shift.astype(np.int64) - 1)
    table[:outputs, 1] = multiplier
    return table.astype(np.int32).reshape(-1)


def from_records(table: Array, outputs: int) -> tuple[Array, Array, Array]:
    """The inverse: (bias, multiplier, shift), each [outputs]."""
    rows = table[: 2 * outputs].reshape(-1, 2).astype(np.int64)
    return rows[:, 0] >> 8, rows[:, 1], -(rows[:, 0] & 255) - 1


def kernel(name: str, segments: int, length: int) -> str:
    """`name` with its place filled in: "paired", or "deep" where the products need chunks."""
    products = segments * (-(-length // 4) * 4)
    return name.format("paired" if products <= _MOST_PRODUCTS else "deep")


def records_are_exact(layer: Outputs, sum_limit: int = _SUM_LIMIT) -> bool:
    """Whether all biases are below 2^23, all sums below `sum_limit`, all shifts to the right by
    1 to 22.
    """
    bias = np.abs(layer.bias.astype(np.int64))
    sums = np.abs(layer.w.astype(np.int64)).sum(axis=1) * 128 + bias
    right = -layer.shift.astype(np.int64)
    in_range = (bias < _SUM_LIMIT) & (sums < sum_limit) & (right >= 1) & (right <= 22)
    return bool(in_range.all())


def _pairs_are_exact(w: Array) -> bool:
    """Whether 256 * A + B is an int16 for all neighbouring outputs of w [outputs, products]."""
    a = w[0::2].astype(np.int64)
    b = np.zeros_like(a)
    b[: len(w) // 2] = w[1::2]
    return bool((256 * a + b >= -(2**15)).all() and (256 * a + b < 2**15).all())


def pack(w: Array) -> Array:
    """w [outputs, segments, length] int8 -> flat int32 [outputs/4][segments][length/4][8].

    A word holds 256 * A + B for two products: (0, 2) of A, B and of C, D, then (1, 3).
    """
    outputs, segments, length = w.shape
    groups, chunks = -(-outputs // 4), -(-length // 4)
    padded = np.zeros((groups * 4, segments, chunks * 4), np.int64)
    padded[:outputs, :, :length] = w
    cut = padded.reshape(groups, 2, 2, segments, chunks, 4)
    halves = (256 * cut[:, :, 0] + cut[:, :, 1]) & 0xFFFF  # [groups][AB, CD][segments][chunks][4]
    words = halves[..., :2] | (halves[..., 2:] << 16)  # (0, 2), (1, 3)
    ordered = words.transpose(0, 2, 3, 4, 1)  # [groups][segments][chunks][pair][AB, CD]
    return np.ascontiguousarray(ordered).reshape(-1).astype(np.uint32).view(np.int32)


def unpack(packed: Array, outputs: int, segments: int, length: int) -> Array:
    """The inverse: flat int32 -> w [outputs, segments, length]."""
    groups, chunks = -(-outputs // 4), -(-length // 4)
    words = packed[: groups * segments * chunks * 4].reshape(groups, segments, chunks, 2, 2)
    halves = np.stack([words & 0xFFFF, words >> 16], -1).astype(np.int16).astype(np.int64)
    b = ((halves + 128) & 255) - 128
    a = (halves - b) >> 8
    both = np.stack([a, b], -1)  # [groups][segments][chunks][pair][AB, CD][half][A, B]
    # product = 2 * half + pair
    ordered = both.transpose(0, 4, 6, 1, 2, 5, 3)
    whole = ordered.reshape(groups * 4, segments, chunks * 4)
    return whole[:outputs, :, :length].astype(np.int8)
