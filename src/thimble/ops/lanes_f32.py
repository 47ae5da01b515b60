"""float32 CONV_2D, FULLY_CONNECTED and DEPTHWISE_CONV_2D with sums of different outputs in the
lanes of a vector: constants, lowering and twins of kernels/conv_2d_lanes_f32.h and
depthwise_conv_2d_lanes_f32.h. Every sum is added in the order of the kernels without lanes.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from thimble import packing
from thimble.lower import Lowering
from thimble.ops import conv_2d, lanes
from thimble.ops.contract import Array


def lower_conv(n: Lowering, w: Array, bias: Array, words: dict[str, Any]) -> None:
    """Call the kernel with weights w [O, FH, FW, D] and bias [O]; `words` has all the geometry."""
    outputs, filter_h, _, depth = w.shape
    width = n.arch.float_lanes
    columns = lanes.columns_of(words) if lanes.crosses(words, words["out_h"]) else 0
    padded = np.zeros(-(-outputs // width) * width, np.float32)
    padded[:outputs] = bias
    span = (filter_h - 1) * words["dilation_h"] + 1
    scratch = n.scratch(4 * span * columns * depth, "float32") if columns else None
    n.call(
        "thm_conv_2d_lanes_f32",
        w=n.const(packing.pack(w.reshape(outputs, 1, -1), width, 1), "weights"),
        bias=n.const(padded, "bias"),
        scratch=scratch,
        lanes=width,
        columns=columns,
        **words,
    )


def lower_fully_connected(
    n: Lowering, w: Array, bias: Array, batch: int, low: float, high: float
) -> None:
    """The same for w [O, K]: a pointwise convolution of an image of `batch` rows."""
    outputs, depth = w.shape
    words: dict[str, Any] = {
        **dict.fromkeys(("rows", "in_h", "out_h", "x_ring", "y_ring"), batch),
        **dict.fromkeys(("in_c", "depth"), depth),
        **dict.fromkeys(("out_c", "outputs"), outputs),
        **dict.fromkeys(("in_w", "out_w", "filter_h", "filter_w"), 1),
        **dict.fromkeys(("stride_h", "stride_w", "dilation_h", "dilation_w"), 1),
        **dict.fromkeys(("x_channel", "y_channel", "pad_top", "pad_left"), 0),
        "x": n.input(),
        "y": n.output(),
        "act_min": low,
        "act_max": high,
    }
    lower_conv(n, w.reshape(outputs, 1, 1, depth), bias, words)


def lower_depthwise(n: Lowering, bias: Array, words: dict[str, Any]) -> None:
    """Call the kernel with the weights as they are and bias [C]."""
    elsewhere = ("out_c", "channel_multiplier")
    words = {word: value for word, value in words.items() if word not in elsewhere}
    n.call("thm_depthwise_conv_2d_lanes_f32", w=n.input(1), bias=n.const(bias, "bias"), **words)


# --- twins ----------------------------------------------------------------------------------------


def thm_conv_2d_lanes_f32(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    scratch: Array | None,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    size = p.filter_h * p.filter_w * p.depth
    weights = packing.unpack(w, p.outputs, 1, size, p.lanes, 1).reshape(-1)
    conv_2d.thm_conv_2d_f32(p, y_first, y_count, x, weights, bias, y)


def thm_depthwise_conv_2d_lanes_f32(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, bias: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    from thimble.ops import depthwise_conv_2d  # which imports this module

    one_each = SimpleNamespace(**vars(p), out_c=p.in_c, channel_multiplier=1)
    depthwise_conv_2d.thm_depthwise_conv_2d_f32(one_each, y_first, y_count, x, w, bias, y)
