"""Float nets with seeded random weights, and what converts between floats and their integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from models import ModelBuilder, op

from thimble.errors import Finding
from thimble.graph import Model, Tensor
from thimble.quantize.ranges import round_away

Array = np.ndarray


def as_integers(x: Array, tensor: Tensor) -> Array:
    """Float data as the integers of a quantized input; float inputs as they are."""
    if tensor.dtype == "float32":
        return x
    limits = np.iinfo(tensor.dtype)
    q = round_away(x / tensor.scale) + tensor.zero_point
    return np.clip(q, limits.min, limits.max).astype(tensor.dtype)


def as_reals(y: Array, tensor: Tensor) -> Array:
    """The reals that a quantized output stands for."""
    if tensor.dtype == "float32":
        return y
    return (y.astype(np.float64) - tensor.zero_point) * tensor.scale


def quiet(finding: Finding) -> None:
    """Ignore warnings in tests that are about something else."""


class Net(ModelBuilder):
    """A builder of float nets with seeded random weights."""

    def __init__(self, seed: int):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def weights(self, name: str, *shape: int) -> int:
        return self.const(name, (self.rng.normal(size=shape) * 0.5).astype(np.float32))

    def conv(self, x: int, channels: int, **options: Any) -> int:
        w = self.weights(f"w{len(self.nodes)}", channels, 3, 3, self.tensors[x].shape[-1])
        bias = self.weights(f"bias{len(self.nodes)}", channels)
        options = {"stride_w": 1, "stride_h": 1, **options}
        return self.op(op("CONV_2D", "Conv2DOptions", **options), [x, w, bias])

    def depthwise(self, x: int, **options: Any) -> int:
        channels = self.tensors[x].shape[-1]
        w, bias = (
            self.weights(f"dw{len(self.nodes)}", 1, 3, 3, channels),
            self.weights(f"dwbias{len(self.nodes)}", channels),
        )
        options = {"stride_w": 1, "stride_h": 1, "depth_multiplier": 1, **options}
        return self.op(op("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", **options), [x, w, bias])

    def dense(self, x: int, outputs: int, **options: Any) -> int:
        depth = int(np.prod(self.tensors[x].shape[1:]))
        w = self.weights(f"fc{len(self.nodes)}", outputs, depth)
        bias = self.weights(f"fcbias{len(self.nodes)}", outputs)
        return self.op(op("FULLY_CONNECTED", "FullyConnectedOptions", **options), [x, w, bias])

    def same(self, name: str, table: str, inputs: list[int], **options: Any) -> int:
        return self.op(op(name, table, **options), inputs)


def random_net(seed: int) -> Model:
    """A few random layers of the ops that small vision and audio nets are made of."""
    b = Net(seed)
    x = b.input("x", (1, 8, 9, 3))
    y = b.conv(x, 6, fused_activation_function="RELU")
    for _ in range(int(b.rng.integers(2, 6))):
        shape = b.tensors[y].shape
        match int(b.rng.integers(9)):
            case 0:
                y = b.conv(y, 5, fused_activation_function="RELU6")
            case 1:
                y = b.depthwise(y)
            case 2:
                y = b.same("ADD", "AddOptions", [y, b.depthwise(y)])
            case 3:
                y = b.same("MUL", "MulOptions", [y, b.weights("factor", 1, 1, 1, shape[-1])])
            case 4:
                z = b.conv(y, 4)
                y = b.same("CONCATENATION", "ConcatenationOptions", [y, z], axis=3)
            case 5 if shape[1] > 2:
                pool = {"filter_width": 2, "filter_height": 2, "stride_w": 2, "stride_h": 2}
                kind = "MAX_POOL_2D" if b.rng.random() < 0.5 else "AVERAGE_POOL_2D"
                y = b.same(kind, "Pool2DOptions", [y], padding="VALID", **pool)
            case 6:
                y = b.same("MAXIMUM", "MaximumMinimumOptions", [y, b.depthwise(y)])
            case 7:
                pads = b.const(
                    f"pads{len(b.nodes)}", np.array([(0, 0), (1, 0), (0, 2), (0, 0)], np.int32)
                )
                y = b.same("PAD", "PadOptions", [y, pads])
            case _:
                y = b.same("SUB", "SubOptions", [y, b.weights("offset", 1, 1, 1, shape[-1])])
    flat = b.const("flat", np.array([1, -1], np.int32))
    y = b.op(
        op("RESHAPE", "ReshapeOptions"),
        [y, flat],
        [((1, int(np.prod(b.tensors[y].shape))), "float32")],
    )
    logits = b.dense(y, 7)
    y = b.same("SOFTMAX", "SoftmaxOptions", [logits], beta=1.0)
    return b.build([y, logits], signature="serving_default")
