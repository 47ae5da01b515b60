"""The arrays that go into and come out of a firmware: checked, flattened to bytes, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thimble.codegen.firmware import Firmware, Port, TracePoint
from thimble.errors import BadInput, Finding
from thimble.trace import Trace

Array = np.ndarray


def port_bytes(port: Port | TracePoint) -> int:
    """Bytes of a port or trace point as C stores it."""
    elements = int(np.prod(port.shape, dtype=np.int64))
    return elements * np.dtype(port.dtype).itemsize


def input_bytes(firmware: Firmware, inputs: Sequence[Array]) -> list[bytes]:
    """The inputs of one sample as the firmware reads them.

    Raises BadInput with a finding for each array whose count, dtype or shape is wrong.
    """
    if len(inputs) != len(firmware.inputs):
        raise BadInput(
            Finding(
                "inputs",
                f"model {firmware.name}",
                f"{len(inputs)} inputs given, the model has {len(firmware.inputs)}",
                "give one array for each of: " + ", ".join(f"`{p.name}`" for p in firmware.inputs),
            )
        )
    findings = [
        Finding(
            "inputs",
            f"model {firmware.name}, input `{port.name}`",
            f"array is {array.dtype} {list(array.shape)}, the model takes"
            f" {port.dtype} {list(port.shape)}",
        )
        for port, array in zip(firmware.inputs, inputs)
        if array.dtype != np.dtype(port.dtype) or array.shape != tuple(port.shape)
    ]
    if findings:
        raise BadInput(findings)
    return [np.ascontiguousarray(array).tobytes() for array in inputs]


def as_array(port: Port | TracePoint, data: bytes) -> Array:
    """`data` as an array of the port's dtype and shape, owning its memory."""
    return np.frombuffer(data, np.dtype(port.dtype)).reshape(port.shape).copy()


def as_trace(
    firmware: Firmware,
    outputs: Sequence[Array],
    layers: Sequence[tuple[int, Sequence[Array]]],
    runner: str,
    meta: dict[str, object],
) -> Trace:
    """A Trace from what each layer of the firmware left; `layers` has (index, its outputs)."""
    by_index = {layer.index: layer for layer in firmware.layers}
    tensors: dict[str, Array] = {}
    rows = []
    for index, arrays in layers:
        layer = by_index[index]
        names = tuple(point.name for point in layer.outputs)
        tensors.update(zip(names, arrays))
        rows.append((index, layer.op, layer.name, names))
    named = {port.name: array for port, array in zip(firmware.outputs, outputs)}
    return Trace(named, tensors, tuple(rows), runner, meta)
