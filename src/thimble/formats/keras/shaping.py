"""Layers that move values without changing them, and those that do nothing at inference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.ops.expand_dims import ExpandDims
from thimble.ops.pad import Pad
from thimble.ops.resize_bilinear import ResizeBilinear
from thimble.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from thimble.ops.strided_slice import StridedSlice
from thimble.ops.tile import Tile
from thimble.ops.transpose import Transpose


def flatten(b: Builder, call: Call) -> int:
    """[N, ...] -> [N, product]."""
    call.channels_last()
    n, *rest = b.shape(call.x)
    return b.reshape(call.x, (n, prod(rest)), f"{call.scope}/Reshape")


def reshape(b: Builder, call: Call) -> int:
    """[N, ...] -> [N, *target_shape], of which one size may be -1."""
    n, *rest = b.shape(call.x)
    target = [int(s) for s in call["target_shape"]]
    if target.count(-1) == 1:
        known = -prod(target)
        target[target.index(-1)] = prod(rest) // known if known else 0
    return b.reshape(call.x, (n, *target), f"{call.scope}/Reshape")


def permute(b: Builder, call: Call) -> int:
    """The axes in another order; Keras counts from 1."""
    order = [0, *(int(d) for d in call["dims"])]
    if sorted(order) != list(range(len(b.shape(call.x)))):
        raise ValueError(f"its dims are {call['dims']!r} for {list(b.shape(call.x))}")
    if order == sorted(order):
        return call.x
    given = b.const(f"{call.scope}/perm", order, "int32")
    return b.add(Transpose(), [call.x, given], f"{call.scope}/transpose")


def repeat_vector(b: Builder, call: Call) -> int:
    """[N, C] -> [N, n, C]."""
    axis = b.const(f"{call.scope}/axis", 1, "int32")
    x = b.add(ExpandDims(), [call.x, axis], f"{call.scope}/ExpandDims")
    times = b.const(f"{call.scope}/multiples", [1, int(call["n"]), 1], "int32")
    return b.add(Tile(), [x, times], f"{call.scope}/Tile")


def _sides(value: Any, axes: int) -> list[tuple[int, int]]:
    """Keras' paddings and croppings: n, (n, m), or a pair for each axis."""
    if isinstance(value, int):
        return [(value, value)] * axes
    if axes == 1 and all(isinstance(v, int) for v in value):
        return [(int(value[0]), int(value[-1]))]
    pairs = [(v, v) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in value]
    if len(pairs) != axes:
        raise ValueError(f"{value!r} is not for {axes} axes")
    return pairs


def _spatial(b: Builder, call: Call, axes: int) -> None:
    call.channels_last()
    if len(b.shape(call.x)) != axes + 2:
        raise ValueError(f"it has an input {list(b.shape(call.x))}")


def _zero_padding(axes: int) -> Callable[[Builder, Call], int]:
    def pad(b: Builder, call: Call) -> int:
        _spatial(b, call, axes)
        sides = _sides(call["padding"], axes)
        given = b.const(f"{call.scope}/paddings", [(0, 0), *sides, (0, 0)], "int32")
        return b.add(Pad(), [call.x, given], f"{call.scope}/Pad")

    return pad


def _slice(b: Builder, call: Call, begin: Sequence[int], end: Sequence[int]) -> int:
    given = [
        b.const(f"{call.scope}/{name}", values, "int32")
        for name, values in (("begin", begin), ("end", end), ("strides", [1] * len(begin)))
    ]
    return b.add(StridedSlice(), [call.x, *given], f"{call.scope}/strided_slice")


def _cropping(axes: int) -> Callable[[Builder, Call], int]:
    def crop(b: Builder, call: Call) -> int:
        _spatial(b, call, axes)
        sides = [(0, 0), *_sides(call["cropping"], axes), (0, 0)]
        ends = [size - after for size, (_, after) in zip(b.shape(call.x), sides)]
        if any(end <= before for end, (before, _) in zip(ends, sides)):
            raise ValueError(f"it crops {list(b.shape(call.x))} to nothing")
        return _slice(b, call, [before for before, _ in sides], ends)

    return crop


def up_sampling_2d(b: Builder, call: Call) -> int:
    """Rows and columns repeated, or interpolated (pixel centres at halves)."""
    _spatial(b, call, 2)
    how = call.get("interpolation", "nearest")
    _, h, w, _ = b.shape(call.x)
    rows, columns = call.pair("size", 2)
    size = b.const(f"{call.scope}/size", [h * rows, w * columns], "int32")
    if how == "nearest":
        op = ResizeNearestNeighbor()
        return b.add(op, [call.x, size], f"{call.scope}/resize/ResizeNearestNeighbor")
    if how == "bilinear":
        bilinear = ResizeBilinear(half_pixel_centers=True)
        return b.add(bilinear, [call.x, size], f"{call.scope}/resize/ResizeBilinear")
    raise Unsupported(f"its interpolation is `{how}`", "use nearest or bilinear")


def up_sampling_1d(b: Builder, call: Call) -> int:
    """[N, W, C] -> [N, W * size, C], every step repeated."""
    _spatial(b, call, 1)
    times = call.single("size", 2)
    n, w, c = b.shape(call.x)
    x = b.reshape(call.x, (n, 1, w, c), f"{call.scope}/ExpandDims")
    size = b.const(f"{call.scope}/size", [1, w * times], "int32")
    y = b.add(ResizeNearestNeighbor(), [x, size], f"{call.scope}/ResizeNearestNeighbor")
    return b.reshape(y, (n, w * times, c), f"{call.scope}/Squeeze")


def nothing(b: Builder, call: Call) -> int:
    """What acts in training alone."""
    return call.x


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": repeat_vector,
    "ZeroPadding1D": _zero_padding(1),
    "ZeroPadding2D": _zero_padding(2),
    "Cropping1D": _cropping(1),
    "Cropping2D": _cropping(2),
    "UpSampling1D": up_sampling_1d,
    "UpSampling2D": up_sampling_2d,
    **dict.fromkeys(
        (
            "Dropout",
            "SpatialDropout1D",
            "SpatialDropout2D",
            "AlphaDropout",
            "GaussianDropout",
            "GaussianNoise",
            "ActivityRegularization",
            "Identity",
            "RandomFlip",
            "RandomRotation",
            "RandomTranslation",
            "RandomZoom",
            "RandomContrast",
            "RandomBrightness",
        ),
        nothing,
    ),
}
