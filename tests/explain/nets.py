"""Small models with many kinds of layers, float and int8, for faults that must always be tried."""

from __future__ import annotations

from functools import cache

import numpy as np
from models import ModelBuilder, op

from thimble.graph import Model
from thimble.quantize import quantize


@cache
def float_net(seed: int = 3) -> Model:
    """CONV_2D, DEPTHWISE_CONV_2D, ADD, SUB, MUL, TRANSPOSE, MAX_POOL_2D, MEAN, FULLY_CONNECTED,
    SOFTMAX on [1, 8, 8, 3].
    """
    rng = np.random.default_rng(seed)
    b = ModelBuilder()

    def weights(name: str, *shape: int) -> int:
        fan = np.prod(shape[1:]) if shape[0] > 1 else shape[1] * shape[2]
        return b.const(name, rng.normal(0, 1.5 / np.sqrt(fan), shape).astype(np.float32))

    def bias(name: str, size: int) -> int:
        return b.const(name, rng.normal(0, 0.3, size).astype(np.float32))

    same = {"padding": "SAME", "stride_h": 1, "stride_w": 1}
    x = b.input("image", (1, 8, 8, 3))
    c1 = b.op(
        op("CONV_2D", "Conv2DOptions", **same, fused_activation_function="RELU"),
        [x, weights("w1", 8, 3, 3, 3), bias("b1", 8)],
        names=["stem"],
    )
    c2 = b.op(
        op("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", **same, depth_multiplier=1),
        [c1, weights("w2", 1, 3, 3, 8), bias("b2", 8)],
        names=["depthwise"],
    )
    c3 = b.op(
        op("CONV_2D", "Conv2DOptions", **same, fused_activation_function="RELU6"),
        [c2, weights("w3", 8, 1, 1, 8), bias("b3", 8)],
        names=["pointwise"],
    )
    added = b.op(op("ADD", "AddOptions"), [c1, c3], names=["residual"])
    gone = b.op(op("SUB", "SubOptions"), [added, c2], names=["difference"])
    factor = b.const("factor", rng.uniform(0.5, 1.5, (1, 1, 1, 8)).astype(np.float32))
    scaled = b.op(op("MUL", "MulOptions"), [gone, factor], names=["scaled"])
    permutation = b.const("permutation", np.array([0, 2, 1, 3], np.int32))
    turned = b.op(op("TRANSPOSE", "TransposeOptions"), [scaled, permutation], names=["turned"])
    pooled = b.op(
        op("MAX_POOL_2D", "Pool2DOptions", **same, filter_height=3, filter_width=3),
        [turned],
        names=["pooled"],
    )
    axes = b.const("axes", np.array([1, 2], np.int32))
    mean = b.op(op("MEAN", "ReducerOptions"), [pooled, axes], names=["mean"])
    dense = b.op(
        op("FULLY_CONNECTED", "FullyConnectedOptions"),
        [mean, weights("w4", 6, 8), bias("b4", 6)],
        names=["dense"],
    )
    y = b.op(op("SOFTMAX", "SoftmaxOptions", beta=1.0), [dense], names=["probabilities"])
    return b.build([y])


@cache
def samples(count: int = 3) -> np.ndarray:
    """[count, 1, 8, 8, 3] images."""
    rng = np.random.default_rng(5)
    return rng.uniform(-1, 1, (count, 1, 8, 8, 3)).astype(np.float32)


@cache
def int8_net() -> Model:
    """`float_net` quantized, with int8 input and output."""
    return quantize(float_net(), samples(16), scheme="int8")
