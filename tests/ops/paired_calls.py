"""Random calls of the kernels whose constants `pairs.py` makes: odd sizes, tails, borders, bands
and rings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from kernels_emulated import Call

from thimble import pairs
from thimble.geometry import axis

Rng = np.random.Generator


def layer(rng: Rng, outputs: int, products: int) -> pairs.Outputs:
    """A layer within the bounds of `pairs`, with activation ranges of every kind."""
    low, high = sorted(int(v) for v in rng.integers(-128, 128, 2))
    whole = rng.random() < 0.5
    largest = int(rng.choice([1, 20, 127]))
    if largest * 128 * products > 2**22 and products <= 640:
        largest = 2**22 // (128 * products)
    reach = max(int(np.log2(largest * 100 * products**0.5 / 128)) + 2, 2)
    return pairs.Outputs(
        rng.integers(-largest, largest + 1, (outputs, products)).astype(np.int8),
        rng.integers(-largest * 150, largest * 150 + 1, outputs),
        rng.integers(2**30, 2**31, outputs),
        -rng.integers(1, reach, outputs),
        int(rng.integers(-128, 128)),
        -128 if whole else low,
        127 if whole else high,
    )


def _common(of: pairs.Outputs) -> dict[str, int]:
    return {"output_offset": of.output_offset, "act_min": of.act_min, "act_max": of.act_max}


def _records(of: pairs.Outputs) -> np.ndarray:
    return pairs.records(of.bias, of.multiplier, of.shift)


def _bytes(rng: Rng, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, int(np.prod(shape))).astype(np.int8)


def _window(
    rng: Rng, taps: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], width: int
) -> tuple[dict[str, int], int, int]:
    """Words of a window on an image up to `width` columns, and a band of its rows."""
    while True:
        size = (int(rng.integers(1, 10)), int(rng.integers(1, width + 1)))
        padding = str(rng.choice(["SAME", "VALID"]))
        rows, columns = (axis(*each, padding) for each in zip(size, taps, stride, dilation))
        if rows.out > 0 and columns.out > 0:
            break
    y_first = int(rng.integers(rows.out)) if rng.integers(2) else 0
    y_count = int(rng.integers(1, rows.out - y_first + 1))
    if rng.integers(2):
        y_count = rows.out - y_first
    needed = min((y_count - 1) * stride[0] + rows.extent, size[0])
    words = {
        "in_h": size[0],
        "in_w": size[1],
        "out_w": columns.out,
        "stride_h": stride[0],
        "stride_w": stride[1],
        "pad_top": rows.pad,
        "pad_left": columns.pad,
        "x_ring": int(rng.choice([size[0], needed])),
        "y_ring": int(rng.choice([rows.out, y_count])),
        "x_zero": int(rng.integers(-128, 128)),
    }
    return words, y_first, y_count


def convolution(rng: Rng) -> Call:
    """thm_conv_2d_paired_s8 or thm_conv_2d_deep_s8."""
    is_pointwise = rng.integers(4) == 0
    taps, stride, dilation = (
        (1, 1) if is_pointwise else (int(rng.integers(1, high)), int(rng.integers(1, high)))
        for high in (5, 4, 3)
    )
    words, y_first, y_count = _window(rng, taps, stride, dilation, 9)
    depth = int(rng.choice([1, 2, 3, 4, 8, 13, 16, 32, 70, 330, 700]))
    outputs, groups = int(rng.choice([1, 2, 3, 4, 5, 8, 13])), int(rng.choice([1, 1, 2]))
    group = int(rng.integers(groups))
    of = layer(rng, outputs, taps[0] * taps[1] * depth)
    words |= _common(of) | {
        "filter_h": taps[0],
        "filter_w": taps[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "in_c": depth * groups,
        "out_c": outputs * groups,
        "x_channel": group * depth,
        "depth": depth,
        "y_channel": group * outputs,
        "outputs": outputs,
        "out_h": max(words["y_ring"], y_first + y_count),
    }
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], words["in_c"]),
        "w": pairs.pack(of.w.reshape(outputs, taps[0], -1)),
        "records": _records(of),
        "scratch": np.zeros(taps[1] * depth, np.int8),
        "y": _bytes(rng, words["y_ring"], words["out_w"], words["out_c"]),
    }
    kernel = pairs.kernel("thm_conv_2d_{}_s8", taps[0], taps[1] * depth)
    return Call(kernel, words, buffers, y_first, y_count)


def joint_convolution(rng: Rng) -> Call:
    """thm_conv_2d_joint_s8."""
    while True:
        call = convolution(rng)
        outputs = call.params["outputs"]
        products = int(np.prod([call.params[k] for k in ("filter_h", "filter_w", "depth")]))
        if products <= 319:
            break
    of = layer(rng, outputs, products)
    of.w[:, : int(rng.integers(2)) * products] = -127  # the largest sums of two
    words = dict(call.params) | _common(of)
    buffers = dict(call.buffers) | {"w": pairs.pack_joint(of.w), "records": _records(of)}
    return Call("thm_conv_2d_joint_s8", words, buffers, call.y_first, call.y_count)


def fully_connected(rng: Rng) -> Call:
    """thm_fully_connected_paired_s8 or thm_fully_connected_deep_s8."""
    batch, outputs = int(rng.integers(1, 4)), int(rng.integers(1, 10))
    depth = int(rng.integers(1, rng.choice([20, 641, 1500])))
    of = layer(rng, outputs, depth)
    buffers: dict[str, Any] = {
        "x": _bytes(rng, batch, depth),
        "w": pairs.pack(of.w[:, None]),
        "records": _records(of),
        "y": _bytes(rng, batch, outputs),
    }
    first = int(rng.integers(batch))
    kernel = pairs.kernel("thm_fully_connected_{}_s8", 1, depth)
    words = {"depth": depth, "outputs": outputs, **_common(of)}
    return Call(kernel, words, buffers, first, batch - first)


def depthwise_3x3(rng: Rng) -> Call:
    """thm_depthwise_conv_2d_3x3_s8, also of more columns than a strip has."""
    stride = (int(rng.integers(1, 5)), int(rng.integers(1, 3)))
    words, y_first, y_count = _window(rng, (3, 3), stride, (1, 1), int(rng.choice([9, 110])))
    channels = int(rng.integers(1, 10))
    of = layer(rng, channels, 9)
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], channels),
        "w": pairs.pack_3x3(of.w.reshape(channels, 3, 3)),
        "records": _records(of),
        "y": _bytes(rng, words["y_ring"], words["out_w"], channels),
    }
    words |= {"channels": channels, **_common(of)}
    return Call("thm_depthwise_conv_2d_3x3_s8", words, buffers, y_first, y_count)


def depthwise(rng: Rng) -> Call:
    """thm_depthwise_conv_2d_planar_s8."""
    taps, stride, dilation = (
        (int(rng.integers(1, high)), int(rng.integers(1, high))) for high in (6, 4, 3)
    )
    words, y_first, y_count = _window(rng, taps, stride, dilation, 12)
    channels = int(rng.integers(1, 10))
    of = layer(rng, channels, taps[0] * taps[1])
    packed = pairs.pack_rows(of.w.reshape(channels, *taps), dilation[1])
    columns = packed.shape[2] // 2
    slots = (taps[0] - 1) * dilation[0] + 1
    most = (312 // 4 // slots - columns) * 2 // stride[1] + 1
    strip = int(rng.integers(1, min(most, words["out_w"]) + 1))
    words |= _common(of) | {
        "filter_h": taps[0],
        "dilation_h": dilation[0],
        "channels": channels,
        "words": columns,
        "strip": strip,
        "pitch": (strip - 1) * stride[1] // 2 + columns,
    }
    buffers: dict[str, Any] = {
        "x": _bytes(rng, words["x_ring"], words["in_w"], channels),
        "w": packed.reshape(-1),
        "records": _records(of),
        "y": _bytes(rng, words["y_ring"], words["out_w"], channels),
    }
    return Call("thm_depthwise_conv_2d_planar_s8", words, buffers, y_first, y_count)


MAKERS = {
    convolution: 150,
    joint_convolution: 100,
    fully_connected: 40,
    depthwise_3x3: 80,
    depthwise: 60,
}
