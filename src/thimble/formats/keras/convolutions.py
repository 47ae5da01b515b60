"""Convolutions and dense layers. One spatial dimension is two, of which the first is 1.

x [1, W, C] -> RESHAPE [1, 1, W, C] -> CONV_2D -> RESHAPE [1, W', O]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from thimble.formats.keras.activations import activate
from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.pad import Pad

Array = np.ndarray


def _split(call: Call, kernels: int) -> tuple[list[Array], Array | None]:
    """(kernels, bias) of a layer."""
    has_bias = bool(call.get("use_bias", True))
    arrays = list(call.arrays(kernels + has_bias))
    return arrays[:kernels], arrays[kernels] if has_bias else None


def _bias(b: Builder, call: Call, bias: Array | None, channels: int) -> int:
    values = np.zeros(channels, np.float32) if bias is None else bias
    if values.shape != (channels,):
        raise ValueError(f"its bias has shape {list(values.shape)} for {channels} channels")
    return b.const(f"{call.scope}/bias", values)


def _rank(call: Call, b: Builder, kernel: Array, spatial: int) -> None:
    if len(b.shape(call.x)) != spatial + 2 or kernel.ndim != spatial + 2:
        shapes = f"{list(b.shape(call.x))} and a kernel {list(kernel.shape)}"
        raise ValueError(f"it has an input {shapes}")
    call.channels_last()


def _image(b: Builder, call: Call, x: int) -> int:
    """[1, W, C] as [1, 1, W, C]."""
    n, w, c = b.shape(x)
    return b.reshape(x, (n, 1, w, c), f"{call.scope}/ExpandDims")


def _row(b: Builder, call: Call, y: int) -> int:
    """[1, 1, W, C] as [1, W, C]."""
    n, _, w, c = b.shape(y)
    return b.reshape(y, (n, w, c), f"{call.scope}/Squeeze")


def _padding(call: Call) -> str:
    padding = str(call.get("padding", "valid")).upper()
    if padding not in ("SAME", "VALID"):
        raise Unsupported(f"its padding is {call['padding']!r}", "pad with ZeroPadding first")
    return padding


def _convolve(
    b: Builder,
    call: Call,
    x: int,
    kernel: Array,
    bias: Array | None,
    padding: str,
    strides: tuple[int, int],
    dilations: tuple[int, int],
) -> int:
    """CONV_2D with kernel [rows, columns, in / groups, out]."""
    channels, groups_of = b.shape(x)[3], kernel.shape[2]
    if channels % groups_of or kernel.shape[3] % (channels // groups_of):
        shapes = f"{channels} channels and a kernel {list(kernel.shape)}"
        raise ValueError(f"it has {shapes}")
    op = Conv2D(
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )
    w = b.const(f"{call.scope}/kernel", np.transpose(kernel, (3, 0, 1, 2)))
    return b.add(op, [x, w, _bias(b, call, bias, kernel.shape[3])], f"{call.scope}/BiasAdd")


def _depthwise(
    b: Builder,
    call: Call,
    x: int,
    kernel: Array,
    bias: Array | None,
    padding: str,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    name: str = "BiasAdd",
) -> int:
    """DEPTHWISE_CONV_2D with kernel [rows, columns, in, multiplier]."""
    rows, columns, channels, multiplier = kernel.shape
    if channels != b.shape(x)[3]:
        raise ValueError(f"it has {b.shape(x)[3]} channels and a kernel {list(kernel.shape)}")
    op = DepthwiseConv2D(
        padding=padding,
        stride_h=strides[0],
        stride_w=strides[1],
        depth_multiplier=multiplier,
        dilation_h_factor=dilations[0],
        dilation_w_factor=dilations[1],
    )
    outputs = channels * multiplier
    w = b.const(f"{call.scope}/depthwise_kernel", kernel.reshape(1, rows, columns, outputs))
    given = np.zeros(outputs, np.float32) if bias is None else bias
    if given.shape != (outputs,):
        raise ValueError(f"its bias has shape {list(given.shape)} for {outputs} channels")
    add = b.const(f"{call.scope}/{'depthwise_' if name != 'BiasAdd' else ''}bias", given)
    return b.add(op, [x, w, add], f"{call.scope}/{name}")


def conv2d(b: Builder, call: Call) -> int:
    """Conv2D, also with groups and dilations."""
    (kernel,), bias = _split(call, 1)
    _rank(call, b, kernel, 2)
    strides, dilations = call.pair("strides"), call.pair("dilation_rate")
    y = _convolve(b, call, call.x, kernel, bias, _padding(call), strides, dilations)
    return activate(b, call, y, call.get("activation"))


def causal_pad(b: Builder, call: Call, x: int, ahead: int) -> int:
    """[1, W, C] with `ahead` zeros before W."""
    if not ahead:
        return x
    pads = b.const(f"{call.scope}/paddings", [[0, 0], [ahead, 0], [0, 0]], "int32")
    return b.add(Pad(), [x, pads], f"{call.scope}/Pad")


def conv1d(b: Builder, call: Call) -> int:
    """Conv1D: padding valid, same or causal."""
    (kernel,), bias = _split(call, 1)
    _rank(call, b, kernel, 1)
    dilation, x = call.single("dilation_rate"), call.x
    if call.get("padding") == "causal":
        x = causal_pad(b, call, x, dilation * (kernel.shape[0] - 1))
        padding = "VALID"
    else:
        padding = _padding(call)
    strides = (1, call.single("strides"))
    x = _image(b, call, x)
    y = _convolve(b, call, x, kernel[None], bias, padding, strides, (1, dilation))
    return activate(b, call, _row(b, call, y), call.get("activation"))


def depthwise_conv2d(b: Builder, call: Call) -> int:
    """DepthwiseConv2D."""
    (kernel,), bias = _split(call, 1)
    _rank(call, b, kernel, 2)
    strides, dilations = call.pair("strides"), call.pair("dilation_rate")
    y = _depthwise(b, call, call.x, kernel, bias, _padding(call), strides, dilations)
    return activate(b, call, y, call.get("activation"))


def depthwise_conv1d(b: Builder, call: Call) -> int:
    """DepthwiseConv1D."""
    (kernel,), bias = _split(call, 1)
    _rank(call, b, kernel, 1)
    strides, dilations = (1, call.single("strides")), (1, call.single("dilation_rate"))
    x = _image(b, call, call.x)
    y = _depthwise(b, call, x, kernel[None], bias, _padding(call), strides, dilations)
    return activate(b, call, _row(b, call, y), call.get("activation"))


def separable_conv2d(b: Builder, call: Call) -> int:
    """SeparableConv2D: a depthwise convolution, then one of 1 x 1."""
    (kernel, pointwise), bias = _split(call, 2)
    _rank(call, b, kernel, 2)
    strides, dilations = call.pair("strides"), call.pair("dilation_rate")
    padding = _padding(call)
    x = _depthwise(b, call, call.x, kernel, None, padding, strides, dilations, "depthwise")
    y = _convolve(b, call, x, pointwise, bias, "VALID", (1, 1), (1, 1))
    return activate(b, call, y, call.get("activation"))


def separable_conv1d(b: Builder, call: Call) -> int:
    """SeparableConv1D, also causal."""
    (kernel, pointwise), bias = _split(call, 2)
    _rank(call, b, kernel, 1)
    dilation, x = call.single("dilation_rate"), call.x
    if call.get("padding") == "causal":
        x = causal_pad(b, call, x, dilation * (kernel.shape[0] - 1))
        padding = "VALID"
    else:
        padding = _padding(call)
    strides = (1, call.single("strides"))
    x = _image(b, call, x)
    x = _depthwise(b, call, x, kernel[None], None, padding, strides, (1, dilation), "depthwise")
    y = _convolve(b, call, x, pointwise[None], bias, "VALID", (1, 1), (1, 1))
    return activate(b, call, _row(b, call, y), call.get("activation"))


def dense(b: Builder, call: Call) -> int:
    """Dense, over the last axis."""
    (kernel,), bias = _split(call, 1)
    x = b.shape(call.x)
    if kernel.ndim != 2 or x[-1] != kernel.shape[0]:
        raise ValueError(f"it has an input {list(x)} and a kernel {list(kernel.shape)}")
    w = b.const(f"{call.scope}/kernel", np.transpose(kernel))
    add = _bias(b, call, bias, kernel.shape[1])
    op = FullyConnected(keep_num_dims=len(x) > 2)
    y = b.add(op, [call.x, w, add], f"{call.scope}/BiasAdd")
    return activate(b, call, y, call.get("activation"))


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "Conv1D": conv1d,
    "Convolution1D": conv1d,
    "Conv2D": conv2d,
    "Convolution2D": conv2d,
    "DepthwiseConv1D": depthwise_conv1d,
    "DepthwiseConv2D": depthwise_conv2d,
    "SeparableConv1D": separable_conv1d,
    "SeparableConvolution1D": separable_conv1d,
    "SeparableConv2D": separable_conv2d,
    "SeparableConvolution2D": separable_conv2d,
    "Dense": dense,
}
