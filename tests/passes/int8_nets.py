"""Int8 graphs built by hand or drawn at random, full of channels that `shrink` can leave out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from models import ModelBuilder, op

from thimble.geometry import axis
from thimble.graph import Model

Array = np.ndarray


class Int8Net:
    """A chain of int8 layers on a current tensor `x`, which every method replaces and returns.

    Weights are zero, repeated or saturating on purpose; scales are such that values spread.
    """

    def __init__(self, shape: Sequence[int], seed: int = 0, zero_point: int = 3):
        self.rng = np.random.default_rng(seed)
        self.b = ModelBuilder()
        self.x = self.b.input("x", shape, "int8", 0.05, zero_point)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.b.tensors[self.x].shape

    @property
    def quant(self) -> tuple[float, int]:
        tensor = self.b.tensors[self.x]
        return float(tensor.scale), tensor.zero_point

    def weights(self, out: int, *rest: int) -> Array:
        """[out, *rest] with rows that are zero, equal, or blind to some of the last axis."""
        rng = self.rng
        w = rng.integers(-60, 61, (out, *rest)).astype(np.int8)
        w[rng.random(out) < 0.25] = 0
        w[..., rng.random(rest[-1]) < 0.2] = 0
        for row in np.flatnonzero(rng.random(out) < 0.25):
            w[row] = w[rng.integers(out)]
        return w

    def bias(self, out: int) -> Array:
        """[out] of few values, some of which saturate every output."""
        return self.rng.choice(np.array([0, 0, 40, 40, -700, 10**7, -(10**7)], np.int32), out)

    def _weighted(
        self, name: str, w: Array, bias: Array | None, y: Sequence[int], **options
    ) -> int:
        axis_of_scales = 3 if name == "DEPTHWISE_CONV_2D" else 0
        out = w.shape[axis_of_scales]
        scales = self.rng.choice([0.01, 0.02], out) if self.rng.random() < 0.7 else [0.015]
        weights = self.b.const(f"w{len(self.b.nodes)}", w, scale=scales, axis=axis_of_scales)
        given = None
        if bias is not None:
            bias_scales = np.asarray(scales, np.float32) * np.float32(self.quant[0])
            given = self.b.const(f"b{len(self.b.nodes)}", bias, scale=bias_scales)
        tables = {"CONV_2D": "Conv2DOptions", "FULLY_CONNECTED": "FullyConnectedOptions"}
        room = op(name, tables.get(name, "DepthwiseConv2DOptions"), **options)
        zero = int(self.rng.integers(-128, 20))
        made = self.b.op(room, [self.x, weights, given], [(y, "int8", 0.08, zero)], version=3)
        self.x = made
        return made

    def _image(self, window: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
        return tuple(axis(s, window, stride, dilation, padding).out for s in self.shape[1:3])  # type: ignore[return-value]

    def conv(
        self,
        out: int,
        window: int = 1,
        padding: str = "SAME",
        stride: int = 1,
        dilation: int = 1,
        activation: str = "RELU",
        weights: Array | None = None,
        bias: Array | None = None,
    ) -> int:
        w = self.weights(out, window, window, self.shape[3]) if weights is None else weights
        bias = self.bias(len(w)) if bias is None else bias
        y = (1, *self._image(window, stride, dilation, padding), len(w))
        return self._weighted(
            "CONV_2D",
            w,
            bias,
            y,
            padding=padding,
            stride_h=stride,
            stride_w=stride,
            dilation_h_factor=dilation,
            dilation_w_factor=dilation,
            fused_activation_function=activation,
        )

    def depthwise(
        self,
        multiplier: int = 1,
        window: int = 3,
        padding: str = "SAME",
        stride: int = 1,
        weights: Array | None = None,
        bias: Array | None = None,
    ) -> int:
        out = self.shape[3] * multiplier
        w = self.weights(1, window, window, out) if weights is None else weights
        y = (1, *self._image(window, stride, 1, padding), out)
        return self._weighted(
            "DEPTHWISE_CONV_2D",
            w,
            self.bias(out) if bias is None else bias,
            y,
            padding=padding,
            stride_h=stride,
            stride_w=stride,
            depth_multiplier=multiplier,
            fused_activation_function="RELU6",
        )

    def dense(
        self,
        out: int,
        activation: str = "NONE",
        weights: Array | None = None,
        bias: Array | None = None,
    ) -> int:
        depth = int(np.prod(self.shape[1:]))
        w = self.weights(out, depth) if weights is None else weights
        return self._weighted(
            "FULLY_CONNECTED", w, bias, (1, len(w)), fused_activation_function=activation
        )

    def same(self, room, inputs: Sequence[int], shape: Sequence[int], *quant) -> int:  # type: ignore[no-untyped-def]
        """Any op of one int8 output, by default with the quantization of `x`."""
        self.x = self.b.op(room, inputs, [(tuple(shape), "int8", *(quant or self.quant))])
        return self.x

    def arithmetic(self, name: str, other: int) -> int:
        room = op(name, {"ADD": "AddOptions", "MUL": "MulOptions", "SUB": "SubOptions"}.get(name))
        quant = self.quant if name in ("MAXIMUM", "MINIMUM") else (0.11, -5)
        return self.same(room, [self.x, other], self.shape, *quant)

    def constant(self, shape: Sequence[int]) -> int:
        values = self.rng.choice(np.array([-128, 3, 3, 50], np.int8), tuple(shape))
        scale, zero = self.quant
        return self.b.const(f"c{len(self.b.nodes)}", values, scale=scale, zero_point=zero)

    def pool(self, name: str) -> int:
        steps = {"stride_h": 2, "stride_w": 2, "filter_height": 2, "filter_width": 2}
        _, h, w, c = self.shape
        room = op(name, "Pool2DOptions", padding="SAME", **steps)
        return self.same(room, [self.x], (1, -(-h // 2), -(-w // 2), c))

    def pad(self) -> int:
        _, h, w, c = self.shape
        paddings = self.b.const("p", np.array([(0, 0), (1, 0), (0, 2), (0, 0)], np.int32))
        return self.same(op("PAD", "PadOptions"), [self.x, paddings], (1, h + 1, w + 2, c))

    def reshape(self, *shape: int) -> int:
        target = self.b.const(f"s{len(self.b.nodes)}", np.array(shape, np.int32))
        return self.same(op("RESHAPE", "ReshapeOptions"), [self.x, target], shape)

    def mean(self, keep_dims: bool) -> int:
        axes = self.b.const("axes", np.array([1, 2], np.int32))
        room = op("MEAN", "ReducerOptions", keep_dims=keep_dims)
        c = self.shape[3]
        y = (1, 1, 1, c) if keep_dims else (1, c)
        return self.same(room, [self.x, axes], y, 0.06, 11)

    def concatenated(self, first: int) -> int:
        a, b = self.b.tensors[first].shape, self.shape
        room = op("CONCATENATION", "ConcatenationOptions", axis=len(b) - 1)
        return self.same(room, [first, self.x], (*b[:-1], a[-1] + b[-1]))

    def model(self) -> Model:
        return self.b.build([self.x])


def random_net(seed: int) -> Model:
    """Five to nine layers of any kind, then a classifier."""
    rng = np.random.default_rng(seed)
    net = Int8Net((1, int(rng.integers(4, 8)), int(rng.integers(4, 8)), 3), seed)
    net.conv(int(rng.integers(4, 9)), 3, stride=int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(3, 8))):
        x = net.x
        kind = rng.integers(12)
        if kind <= 2:
            padding = str(rng.choice(["SAME", "VALID"]))
            window = int(rng.integers(1, 4)) if min(net.shape[1:3]) >= 3 else 1
            dilation = 2 if padding == "SAME" else 1
            net.conv(int(rng.integers(3, 9)), window, padding, dilation=dilation)
        elif kind <= 4:
            net.depthwise(int(rng.integers(1, 3)), stride=int(rng.integers(1, 3)))
        elif kind == 5:
            net.conv(net.shape[3], 3)
            net.arithmetic("ADD", x)
        elif kind == 6:
            net.arithmetic(str(rng.choice(["ADD", "MUL", "SUB"])), net.constant(net.shape[3:]))
        elif kind == 7:
            net.arithmetic(str(rng.choice(["MAXIMUM", "MINIMUM", "MUL"])), net.constant((1,)))
        elif kind == 8:
            net.pool(str(rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"])))
        elif kind == 9:
            net.pad()
        elif kind == 10:
            net.same(op(str(rng.choice(["RELU", "HARD_SWISH"]))), [x], net.shape, 0.07, -9)
        else:
            net.same(op("QUANTIZE"), [x], net.shape, 0.04, -100)
            left = net.x
            net.x = x
            net.same(op("QUANTIZE"), [x], net.shape, 0.04, -100)
            net.concatenated(left)
    if rng.random() < 0.5:
        net.mean(bool(rng.integers(2)))
    if rng.random() < 0.7:
        net.reshape(1, int(np.prod(net.shape)))
    net.dense(6, "RELU", bias=net.bias(6))
    net.dense(3)
    return net.model()
