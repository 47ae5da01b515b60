"""Normalizations and rescaling: constants that multiply and add, or computed from the values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.ops.add import Add, Sub
from thimble.ops.elementary import Rsqrt
from thimble.ops.mul import Mul
from thimble.ops.reduce import Mean
from thimble.ops.squared_difference import SquaredDifference

Array = np.ndarray
_KERAS_EPSILON = 1e-7


def _affine(b: Builder, call: Call, scale: Array, offset: Array) -> int:
    """x * scale + offset; a factor of 1 and an addend of 0 are left out."""
    y = call.x
    if (scale != 1).any():
        factor = b.const(f"{call.scope}/scale", scale.astype(np.float32))
        y = b.add(Mul(), [y, factor], f"{call.scope}/mul")
    if (offset != 0).any():
        addend = b.const(f"{call.scope}/offset", offset.astype(np.float32))
        y = b.add(Add(), [y, addend], f"{call.scope}/add")
    return y


def _last_axis(b: Builder, call: Call, axis: object) -> None:
    rank = len(b.shape(call.x))
    if axis not in (-1, rank - 1, [-1], [rank - 1]):
        raise Unsupported(f"it normalizes along axis {axis}, not the last", "permute the axes")


def batch_normalization(b: Builder, call: Call) -> int:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moving averages.

    The constants are computed in float64 and rounded once; `fuse` puts them into the layer before.
    """
    _last_axis(b, call, call.get("axis", -1))
    has_scale, has_center = bool(call.get("scale", True)), bool(call.get("center", True))
    arrays = [a.astype(np.float64) for a in call.arrays(2 + has_scale + has_center)]
    gamma = arrays.pop(0) if has_scale else np.ones(1)
    beta = arrays.pop(0) if has_center else np.zeros(1)
    mean, variance = arrays
    channels = b.shape(call.x)[-1:]
    if mean.shape != channels or variance.shape != channels:
        raise ValueError(f"it has {list(mean.shape)} means for {list(channels)} channels")
    scale = gamma / np.sqrt(variance + float(call.get("epsilon", 1e-3)))
    offset = np.broadcast_to(beta - mean * scale, channels)
    y = b.add(
        Mul(),
        [call.x, b.const(f"{call.scope}/scale", np.broadcast_to(scale, channels))],
        f"{call.scope}/FusedBatchNormV3/mul",
    )
    addend = b.const(f"{call.scope}/offset", offset)
    return b.add(Add(), [y, addend], f"{call.scope}/FusedBatchNormV3")


def layer_normalization(b: Builder, call: Call) -> int:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, both over the last axis."""
    _last_axis(b, call, call.get("axis", -1))
    if call.get("rms_scaling", False):
        raise Unsupported("it scales by the root mean square", "use RMS scaling of your own")
    has_scale, has_center = bool(call.get("scale", True)), bool(call.get("center", True))
    arrays = list(call.arrays(int(has_scale) + int(has_center)))
    axis = b.const(f"{call.scope}/axes", [len(b.shape(call.x)) - 1], "int32")
    mean = b.add(Mean(keep_dims=True), [call.x, axis], f"{call.scope}/Mean")
    squares = b.add(SquaredDifference(), [call.x, mean], f"{call.scope}/SquaredDifference")
    variance = b.add(Mean(keep_dims=True), [squares, axis], f"{call.scope}/variance")
    epsilon = b.const(f"{call.scope}/epsilon", np.float32(call.get("epsilon", 1e-3)))
    variance = b.add(Add(), [variance, epsilon], f"{call.scope}/add")
    factor = b.add(Rsqrt(), [variance], f"{call.scope}/Rsqrt")
    centred = b.add(Sub(), [call.x, mean], f"{call.scope}/sub")
    y = b.add(Mul(), [centred, factor], f"{call.scope}/mul")
    for op, present, name in ((Mul(), has_scale, "gamma"), (Add(), has_center, "beta")):
        if present:
            values = b.const(f"{call.scope}/{name}", arrays.pop(0))
            y = b.add(op, [y, values], f"{call.scope}/{op.name.lower()}_{name}")
    return y


def rescaling(b: Builder, call: Call) -> int:
    """x * scale + offset."""
    scale = np.asarray(call["scale"], np.float64)
    return _affine(b, call, scale, np.asarray(call.get("offset", 0.0), np.float64))


def normalization(b: Builder, call: Call) -> int:
    """(x - mean) / sqrt(variance), as adapted or as given."""
    _last_axis(b, call, call.get("axis", -1))
    if call.get("invert", False):
        raise Unsupported("it is inverted", "use Rescaling")
    mean, variance = call.get("mean"), call.get("variance")
    if mean is None or variance is None:
        arrays = call.arrays()
        if len(arrays) < 2:
            raise ValueError("it was never adapted: there is no mean and no variance")
        mean, variance = arrays[0], arrays[1]
    means = np.asarray(mean, np.float64).reshape(-1)
    deviation = np.sqrt(np.asarray(variance, np.float64).reshape(-1))
    scale = 1 / np.maximum(deviation, _KERAS_EPSILON)
    return _affine(b, call, scale, -means * scale)


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "BatchNormalization": batch_normalization,
    "SyncBatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "Rescaling": rescaling,
    "Normalization": normalization,
}
