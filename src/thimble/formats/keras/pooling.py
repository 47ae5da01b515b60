"""Pooling in one and two dimensions, local and global."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thimble.formats.keras.builder import Builder, Call, Unsupported
from thimble.ops.pool_2d import AveragePool2D, MaxPool2D
from thimble.ops.reduce import Mean, ReduceMax

_Pool = type[AveragePool2D] | type[MaxPool2D]
_NAMES = {AveragePool2D: "AvgPool", MaxPool2D: "MaxPool"}


def _padding(call: Call) -> str:
    padding = str(call.get("padding", "valid")).upper()
    if padding not in ("SAME", "VALID"):
        raise Unsupported(f"its padding is {call['padding']!r}")
    return padding


def _pool_2d(op: _Pool) -> Callable[[Builder, Call], int]:
    def pool(b: Builder, call: Call) -> int:
        call.channels_last()
        sizes = call.pair("pool_size", 2)
        strides = call.pair("strides", list(sizes))
        if len(b.shape(call.x)) != 4:
            raise ValueError(f"it has an input {list(b.shape(call.x))}")
        made = op(
            padding=_padding(call),
            stride_h=strides[0],
            stride_w=strides[1],
            filter_height=sizes[0],
            filter_width=sizes[1],
        )
        return b.add(made, [call.x], f"{call.scope}/{_NAMES[op]}")

    return pool


def _pool_1d(op: _Pool) -> Callable[[Builder, Call], int]:
    def pool(b: Builder, call: Call) -> int:
        call.channels_last()
        size = call.single("pool_size", 2)
        stride = call.single("strides", size)
        n, w, c = b.shape(call.x)
        x = b.reshape(call.x, (n, 1, w, c), f"{call.scope}/ExpandDims")
        made = op(
            padding=_padding(call),
            stride_h=1,
            stride_w=stride,
            filter_height=1,
            filter_width=size,
        )
        y = b.add(made, [x], f"{call.scope}/{_NAMES[op]}")
        n, _, w, c = b.shape(y)
        return b.reshape(y, (n, w, c), f"{call.scope}/Squeeze")

    return pool


def _global(op: type[Mean] | type[ReduceMax], spatial: int) -> Callable[[Builder, Call], int]:
    def pool(b: Builder, call: Call) -> int:
        call.channels_last()
        if len(b.shape(call.x)) != spatial + 2:
            raise ValueError(f"it has an input {list(b.shape(call.x))}")
        axes = b.const(f"{call.scope}/axes", list(range(1, 1 + spatial)), "int32")
        made = op(keep_dims=bool(call.get("keepdims", False)))
        return b.add(made, [call.x, axes], f"{call.scope}/{'Mean' if op is Mean else 'Max'}")

    return pool


LAYERS: Mapping[str, Callable[[Builder, Call], int]] = {
    "AveragePooling1D": _pool_1d(AveragePool2D),
    "AveragePooling2D": _pool_2d(AveragePool2D),
    "AvgPool1D": _pool_1d(AveragePool2D),
    "AvgPool2D": _pool_2d(AveragePool2D),
    "MaxPooling1D": _pool_1d(MaxPool2D),
    "MaxPooling2D": _pool_2d(MaxPool2D),
    "MaxPool1D": _pool_1d(MaxPool2D),
    "MaxPool2D": _pool_2d(MaxPool2D),
    "GlobalAveragePooling1D": _global(Mean, 1),
    "GlobalAveragePooling2D": _global(Mean, 2),
    "GlobalAvgPool1D": _global(Mean, 1),
    "GlobalAvgPool2D": _global(Mean, 2),
    "GlobalMaxPooling1D": _global(ReduceMax, 1),
    "GlobalMaxPooling2D": _global(ReduceMax, 2),
    "GlobalMaxPool1D": _global(ReduceMax, 1),
    "GlobalMaxPool2D": _global(ReduceMax, 2),
}
