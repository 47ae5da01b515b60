"""Random int8 models of rows for Hypothesis: chains with residuals and joins, 1-D and 2-D."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from models import ModelBuilder

from thimble.geometry import axis
from thimble.graph import Model
from thimble.ops.add import Add
from thimble.ops.concatenation import Concatenation
from thimble.ops.contract import Op
from thimble.ops.conv_2d import Conv2D
from thimble.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.mul import Mul
from thimble.ops.pad import Pad
from thimble.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.ops.reduce import Mean
from thimble.ops.relu import Relu
from thimble.ops.reshape import Reshape
from thimble.ops.resize_bilinear import ResizeBilinear
from thimble.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from thimble.ops.unary import HardSwish, Logistic

QUANT = ("int8", 0.1, -3)
MOST_ELEMENTS = 6000  # of a tensor, so that an example takes milliseconds
KINDS = ("conv", "depthwise", "pointwise", "max", "average", "residual", "product", "concat") + (
    "unary",
    "pad",
    "resize",
    "conv",
    "depthwise",
    "separable",
    "separable",
    "separable",
)


@dataclass
class _Image:
    """A tensor [1, height, width, channels] of the model being built."""

    index: int
    height: int
    width: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 1, self.height, self.width, self.channels


class _Drawn:
    """A model as it is drawn, layer by layer."""

    def __init__(self, draw: st.DrawFn):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.builder = ModelBuilder()
        self.is_1d = draw(st.booleans())
        width = 1 if self.is_1d else draw(st.integers(1, 7))
        channels = draw(st.integers(1, 6) | st.sampled_from([8, 12, 16, 17]))
        image = _Image(0, draw(st.integers(1, 9) | st.integers(6, 19)), width, channels)
        image.index = self.builder.input("x", image.shape, *QUANT)
        self.images = [image]

    def add(self, op: Op, inputs: list[int | None], like: _Image, version: int = 1) -> None:
        """One more layer, whose output has the shape of `like`."""
        if min(like.shape) < 1 or int(np.prod(like.shape)) > MOST_ELEMENTS:
            return
        like.index = self.builder.op(op, inputs, [(like.shape, *QUANT)], version=version)
        self.images.append(like)

    def weights(self, shape: tuple[int, ...], outputs: int, along: int) -> int:
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        return self.builder.const("w", values, scale=[0.01] * outputs, axis=along)

    def window(self, x: _Image, dilates: bool) -> tuple[dict[str, int | str], list[int], _Image]:
        """Words of a window over x, its taps, and the image that it leaves."""
        draw = self.draw
        most = 1 if self.is_1d else 4
        taps = [draw(st.integers(1, 5)), draw(st.integers(1, most))]
        stride = [draw(st.integers(1, 3)), 1 if self.is_1d else draw(st.integers(1, 3))]
        dilation = [draw(st.integers(1, 3)) if dilates else 1 for _ in range(2)]
        padding = draw(st.sampled_from(["SAME", "VALID"]))
        sizes = zip((x.height, x.width), taps, stride, dilation, strict=True)
        rows, columns = (axis(*size, padding) for size in sizes)
        words: dict[str, int | str] = {"padding": padding}
        words |= {"stride_h": stride[0], "stride_w": stride[1]}
        if dilates:
            words |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        return words, taps, _Image(-1, rows.out, columns.out, x.channels)

    def layer(self) -> None:
        """One more layer after the last one, perhaps with an earlier one."""
        draw, x = self.draw, self.images[-1]
        kind = draw(st.sampled_from(KINDS))
        if kind in ("conv", "depthwise"):
            words, taps, y = self.window(x, dilates=True)
            words["fused_activation_function"] = draw(st.sampled_from(["NONE", "RELU", "RELU6"]))
            if kind == "conv":
                y.channels = draw(st.integers(1, 9))
                w = self.weights((y.channels, *taps, x.channels), y.channels, 0)
                self.add(Conv2D(**words), [x.index, w, None], y, 3)  # type: ignore[arg-type]
            else:
                w = self.weights((1, *taps, x.channels), x.channels, 3)
                op = DepthwiseConv2D(depth_multiplier=1, **words)  # type: ignore[arg-type]
                self.add(op, [x.index, w, None], y, 3)
        elif kind == "separable":  # whose depthwise rows may take the place of those before
            size = 1 if self.is_1d else 3
            w = self.weights((1, 3, size, x.channels), x.channels, 3)
            op_ = DepthwiseConv2D(padding="SAME", stride_h=1, stride_w=1, depth_multiplier=1)
            self.add(op_, [x.index, w, None], _Image(-1, *x.shape[1:]), 3)
            w = self.weights((x.channels, 1, 1, x.channels), x.channels, 0)
            op_ = Conv2D(padding="SAME", stride_h=1, stride_w=1)
            self.add(op_, [self.images[-1].index, w, None], _Image(-1, *x.shape[1:]), 3)
        elif kind == "pointwise":
            out = draw(st.sampled_from([x.channels, 4, 8, 16]))
            w = self.weights((out, 1, 1, x.channels), out, 0)
            op = Conv2D(padding="SAME", stride_h=1, stride_w=1)
            self.add(op, [x.index, w, None], _Image(-1, x.height, x.width, out), 3)
        elif kind in ("max", "average"):
            words, taps, y = self.window(x, dilates=False)
            pool = MaxPool2D if kind == "max" else AveragePool2D
            op_ = pool(filter_height=taps[0], filter_width=taps[1], **words)  # type: ignore[arg-type]
            self.add(op_, [x.index], y)
        elif kind in ("residual", "product"):
            alike = [image for image in self.images if image.shape == x.shape]
            other = draw(st.sampled_from(alike))
            op_ = Add() if kind == "residual" else Mul()
            self.add(op_, [x.index, other.index], _Image(-1, *x.shape[1:]), 2)
        elif kind == "concat":
            beside = [i for i in self.images if (i.height, i.width) == (x.height, x.width)]
            other = draw(st.sampled_from(beside))
            y = _Image(-1, x.height, x.width, x.channels + other.channels)
            self.add(Concatenation(axis=3), [x.index, other.index], y)
        elif kind == "unary":
            op_ = draw(st.sampled_from([Relu(), HardSwish(), Logistic()]))
            if not isinstance(op_, Logistic):  # whose output has a scale of its own
                self.add(op_, [x.index], _Image(-1, *x.shape[1:]))
        elif kind == "pad":
            sizes = [[0, 0], *([draw(st.integers(0, 2)), draw(st.integers(0, 2))] for _ in "hw")]
            if self.is_1d:
                sizes[2] = [0, 0]
            pads = self.builder.const("pads", np.array([*sizes, [0, 0]], np.int32))
            y = _Image(-1, x.height + sum(sizes[1]), x.width + sum(sizes[2]), x.channels)
            self.add(Pad(), [x.index, pads], y)
        else:
            height = draw(st.integers(1, 2 * x.height))
            width = 1 if self.is_1d else draw(st.integers(1, 2 * x.width))
            size = self.builder.const("size", np.array([height, width], np.int32))
            resize = draw(st.sampled_from([ResizeNearestNeighbor, ResizeBilinear]))
            corners = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
            op_ = resize(align_corners=corners[0], half_pixel_centers=corners[1])
            self.add(op_, [x.index, size], _Image(-1, height, width, x.channels), 3)

    def end(self) -> int:
        """The output: the last image or what classifies it."""
        x, b = self.images[-1], self.builder
        end = self.draw(st.sampled_from(["image", "pool", "mean", "dense"]))
        if end == "pool":
            words = {"filter_width": x.width, "filter_height": x.height}
            pool = AveragePool2D(padding="VALID", stride_w=1, stride_h=1, **words)
            return int(b.op(pool, [x.index], [((1, 1, 1, x.channels), *QUANT)]))
        if end == "mean":
            axes = b.const("axes", np.array([1, 2], np.int32))
            return int(b.op(Mean(keep_dims=False), [x.index, axes], [((1, x.channels), *QUANT)]))
        if end == "dense":
            depth = x.height * x.width * x.channels
            flat = b.op(Reshape((1, depth)), [x.index], [((1, depth), *QUANT)])
            values = self.rng.integers(-127, 128, (5, depth)).astype(np.int8)
            w = b.const("dense", values, scale=0.01)
            y = ((1, 5), "int8", 0.3, 1)
            return int(b.op(FullyConnected(), [flat, w, None], [y], version=4))
        return x.index


@st.composite
def models(draw: st.DrawFn) -> Model:
    """Up to nine layers of windows, element-wise calls and joins; at least one."""
    drawn = _Drawn(draw)
    for _ in range(draw(st.integers(1, 9))):
        drawn.layer()
    output = drawn.end()
    if output == drawn.images[0].index:
        image = _Image(-1, *drawn.images[0].shape[1:])
        drawn.add(Relu(), [output], image)
        output = image.index
    return drawn.builder.build([output])
