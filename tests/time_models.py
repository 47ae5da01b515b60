"""Random int8 models along time, for the tests of streaming in time."""

from __future__ import annotations

import numpy as np
from models import ModelBuilder

from thimble.geometry import axis
from thimble.graph import Model
from thimble.ops import find
from thimble.ops.contract import Op
from thimble.time_stream import TimeProgram

QUANT = ("int8", 0.1, -3)


def op(name: str, **options: object) -> Op:
    """The op `name` with `options`."""
    kind = find(name)
    assert kind is not None
    return kind(**options)


class TimeModelBuilder:
    """A chain along time. `columns` 0: [1, T, C], with conv1d as converters write it (H = 1)."""

    def __init__(self, seed: int, rows: int, columns: int, channels: int):
        self.rng = np.random.default_rng(seed)
        self.b = ModelBuilder()
        self.rows, self.columns, self.channels = rows, columns, channels
        self.x = self.b.input("x", self.shape, *QUANT)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the tensor the chain has come to."""
        if self.columns:
            return (1, self.rows, self.columns, self.channels)
        return (1, self.rows, self.channels)

    def add(self, kind: Op, inputs: list[int | None], version: int = 1) -> None:
        self.x = self.b.op(kind, inputs, [(self.shape, *QUANT)], version=version)

    def const(self, values: object) -> int:
        return self.b.const(f"c{len(self.b.tensors)}", np.asarray(values, np.int32))

    def weights(self, shape: tuple[int, ...], channel_axis: int) -> int:
        scale = 0.6 / (100 * np.sqrt(np.prod(shape) / shape[channel_axis]))
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        name = f"w{len(self.b.tensors)}"
        scales = [scale] * shape[channel_axis]
        return self.b.const(name, values, scale=scales, axis=channel_axis)

    def bias(self, size: int, scale: float) -> int:
        values = self.rng.integers(-200, 200, size).astype(np.int32)
        return self.b.const(f"b{len(self.b.tensors)}", values, scale=[scale] * size)

    def reshape(self, shape: tuple[int, ...], x: int | None = None) -> int:
        x = self.x if x is None else x
        return self.b.op(op("RESHAPE"), [x, self.const(shape)], [(shape, *QUANT)])

    def conv(
        self, taps: int, dilation: int, stride: int, causal: bool, depthwise: bool = False
    ) -> None:
        """A convolution along time, behind a PAD where it is causal; none where it does not fit."""
        before = (taps - 1) * dilation if causal else 0
        rows = axis(self.rows + before, taps, stride, dilation, "VALID").out
        if rows < 1:
            return
        x, height = self.x, self.rows + before
        if before:
            pads = [[0, 0], [before, 0], *([[0, 0]] * (len(self.shape) - 2))]
            shape = (1, height, *self.shape[2:])
            x = self.b.op(op("PAD"), [x, self.const(pads)], [(shape, *QUANT)])
        out = self.channels if depthwise else int(self.rng.integers(1, 6))
        columns = 1 if self.columns < 2 else int(self.rng.integers(1, 3))
        along = [(taps, stride, dilation), (columns, 1, 1)]
        if not self.columns:
            along = along[::-1]
            x = self.reshape((1, 1, height, self.channels), x)
        (fh, sh, dh), (fw, sw, dw) = along
        words = {
            "padding": "VALID",
            "stride_h": sh,
            "stride_w": sw,
            "dilation_h_factor": dh,
            "dilation_w_factor": dw,
            "fused_activation_function": str(self.rng.choice(["NONE", "RELU"])),
        }
        if depthwise:
            w = self.weights((1, fh, fw, self.channels), 3)
            kind = op("DEPTHWISE_CONV_2D", depth_multiplier=1, **words)
        else:
            w = self.weights((out, fh, fw, self.channels), 0)
            kind = op("CONV_2D", **words)
        self.rows, self.channels = rows, out
        scale = float(self.b.tensors[w].quant.scale[0]) * 0.1  # type: ignore[union-attr]
        if self.columns:
            self.columns -= columns - 1
            shape = self.shape
        else:
            shape = (1, 1, rows, out)
        y = self.b.op(kind, [x, w, self.bias(out, scale)], [(shape, *QUANT)], version=3)
        self.x = y if self.columns else self.reshape(self.shape, y)

    def pool(self, taps: int, stride: int, is_max: bool) -> None:
        """A VALID pool along time, of images."""
        rows = axis(self.rows, taps, stride, 1, "VALID").out
        if rows < 1 or not self.columns:
            return
        kind = op(
            "MAX_POOL_2D" if is_max else "AVERAGE_POOL_2D",
            padding="VALID",
            stride_h=stride,
            stride_w=1,
            filter_height=taps,
            filter_width=1,
        )
        self.rows = rows
        self.add(kind, [self.x])

    def residual(self, taps: int, dilation: int) -> None:
        """x + causal convolution of x."""
        skip, channels = self.x, self.channels
        self.conv(taps, dilation, 1, True, depthwise=True)
        assert self.channels == channels
        if self.columns and self.b.tensors[skip].shape != self.shape:
            return
        self.add(op("ADD"), [skip, self.x], version=2)

    def activation(self, is_table: bool) -> None:
        """A function of each element, or a product with a constant of each channel."""
        if is_table:
            self.add(op("LEAKY_RELU", alpha=0.3), [self.x])
            return
        values = self.rng.integers(-100, 100, self.channels).astype(np.int8)
        scales = self.b.const(f"c{len(self.b.tensors)}", values, scale=0.01)
        self.add(op("MUL"), [self.x, scales], version=2)

    def crop(self, before: int, after: int) -> None:
        """Without some first and last rows."""
        if self.rows - before - after < 1:
            return
        self.rows -= before + after
        begin = [0, before, *([0] * (len(self.shape) - 2))]
        self.add(op("SLICE"), [self.x, self.const(begin), self.const(self.shape)])

    def concatenation(self) -> None:
        """x beside itself."""
        self.channels *= 2
        self.add(op("CONCATENATION", axis=len(self.shape) - 1), [self.x, self.x])

    def dense(self, x: int, depth: int) -> int:
        w = self.weights((3, depth), 0)
        w_scale = float(self.b.tensors[w].quant.scale[0])  # type: ignore[union-attr]
        tensor = self.b.tensors[w]
        w = self.b.const(f"w{len(self.b.tensors)}", tensor.data, scale=w_scale)
        inputs = [x, w, self.bias(3, w_scale * 0.1)]
        return self.b.op(op("FULLY_CONNECTED"), inputs, [((1, 3), *QUANT)], version=4)

    def end(self, kind: str) -> Model:
        """The model: a classifier behind the last row, the mean ..., or the sequence itself."""
        width = max(self.columns, 1) * self.channels
        if kind == "sequence":
            return self.b.build([self.x])
        if kind == "last":
            begin = [0, self.rows - 1, *([0] * (len(self.shape) - 2))]
            end = [1, self.rows, *self.shape[2:]]
            words = [self.const(begin), self.const(end), self.const([1] * len(end))]
            shape = (1, *self.shape[2:])
            kind_ = op("STRIDED_SLICE", shrink_axis_mask=2)
            x = self.b.op(kind_, [self.x, *words], [(shape, *QUANT)])
            x = self.reshape((1, width), x) if self.columns else x
        elif kind == "mean":
            axes = self.const([1, 2] if self.columns else [1])
            width = self.channels
            x = self.b.op(op("MEAN"), [self.x, axes], [((1, width), *QUANT)])
        elif kind == "pool" and self.columns:
            pool = op(
                "AVERAGE_POOL_2D",
                padding="VALID",
                stride_h=self.rows,
                stride_w=self.columns,
                filter_height=self.rows,
                filter_width=self.columns,
            )
            x = self.b.op(pool, [self.x], [((1, 1, 1, self.channels), *QUANT)])
            width = self.channels
            x = self.reshape((1, width), x)
        elif kind == "gate":  # what follows depends on the whole window
            axes = self.const([1])
            shape = (1, 1, *self.shape[2:])
            gate = self.b.op(op("MEAN", keep_dims=True), [self.x, axes], [(shape, *QUANT)])
            self.add(op("MUL"), [self.x, gate], version=2)
            x = self.reshape((1, self.rows * width))
            width *= self.rows
        else:
            x = self.reshape((1, self.rows * width))
            width *= self.rows
        return self.b.build([self.dense(x, width)])


def signal(time: TimeProgram, more: int, seed: int) -> np.ndarray:
    """Random rows: a window (with what it waits for) and `more`."""
    shape = time.model.graph.tensors[time.model.graph.inputs[0]].shape
    rest = shape[1:2] + shape[3:] if time.axis == 2 else shape[2:]
    rng = np.random.default_rng(seed)
    rows = time.window + time.latency_rows + more
    return rng.integers(-128, 128, (rows, *rest)).astype(np.int8)


def dense_net(seed: int, rows: int, end: str) -> Model:
    """A DS-CNN with VALID padding in time: convolution, two separable blocks, a classifier."""
    b = TimeModelBuilder(seed, rows, 3, 2)
    b.conv(4, 1, 2, causal=False)
    for _ in range(2):
        b.conv(3, 1, 1, causal=False, depthwise=True)
        b.conv(1, 1, 1, causal=False)
    return b.end(end)
