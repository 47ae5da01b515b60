"""Who wrote a model file, as far as its metadata says: converter, framework, options.

`CONVERSION_METADATA` is a small flatbuffer of the TensorFlow converter (schema
conversion_metadata.fbs: environment {tensorflow_version, api_version, model_type}, options
{model_optimization_modes, allow_custom_ops, enable_select_tf_ops}). Anyone may write anything
there: what cannot be read counts as not said.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from thimble.graph import Model

FRAMEWORKS = {
    1: "TensorFlow SavedModel",
    2: "Keras",
    3: "TensorFlow concrete functions",
    4: "TensorFlow GraphDef",
    5: "TensorFlow session",
    6: "JAX",
    7: "PyTorch",
}
OPTIMIZATIONS = {
    1001: "float16",
    1002: "dynamic range",
    1003: "full integer",
    1004: "int16",
    2000: "quantization-aware training",
    3001: "random sparsity",
    3002: "block sparsity",
    3003: "structured sparsity",
}
MAX_TEXT = 64  # characters of a version string
MAX_MODES = 16


class _Table:
    """One table of a flatbuffer; every access is checked by `struct`, which raises its error."""

    def __init__(self, data: bytes, at: int):
        self.data, self.at = data, at
        self.vtable = at - self._read("<i", at)
        self.size = self._read("<H", self.vtable)

    def _read(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error("offset before the start")
        value: int = struct.unpack_from(form, self.data, at)[0]
        return value

    def place(self, field: int) -> int | None:
        entry = 4 + 2 * field
        offset = self._read("<H", self.vtable + entry) if entry + 2 <= self.size else 0
        return self.at + offset if offset else None

    def number(self, field: int, form: str) -> int | None:
        at = self.place(field)
        return None if at is None else self._read(form, at)

    def table(self, field: int) -> _Table | None:
        at = self.place(field)
        return None if at is None else _Table(self.data, at + self._read("<I", at))

    def vector(self, field: int) -> tuple[int, int] | None:
        """Where the elements of a vector or string begin, and how many there are."""
        at = self.place(field)
        if at is None:
            return None
        start = at + self._read("<I", at)
        return start + 4, self._read("<I", start)


def _environment(table: _Table) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    if (version := table.vector(0)) is not None:
        text = table.data[version[0] : version[0] + min(version[1], MAX_TEXT)]
        found["tensorflow"] = _printable(text)
    if (api := table.number(1, "<I")) is not None:
        found["converter_api"] = api
    if (kind := table.number(2, "<i")) is not None:
        found["framework"] = FRAMEWORKS.get(kind, f"unknown ({kind})")
    return found


def _options(table: _Table) -> dict[str, str]:
    modes = table.vector(0)
    if modes is None:
        return {}
    start, count = modes
    numbers = [table._read("<i", start + 4 * i) for i in range(min(count, MAX_MODES))]
    names = ", ".join(OPTIMIZATIONS.get(number, str(number)) for number in numbers)
    return {"optimization": names} if names else {}


def _printable(text: bytes) -> str:
    decoded = text.rstrip(b"\0").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded)


def converter(model: Model) -> Mapping[str, str | int]:
    """What the file says of its origin: description, min_runtime_version, tensorflow, framework,
    converter_api, optimization. Fields that it does not say are left out.
    """
    found: dict[str, str | int] = {}
    if model.description:
        found["description"] = _printable(model.description.encode("utf-8", "replace")[:MAX_TEXT])
    runtime = model.metadata.get("min_runtime_version")
    if runtime is not None and bytes(runtime).strip(b"\0"):
        found["min_runtime_version"] = _printable(bytes(runtime)[:MAX_TEXT])
    raw = bytes(model.metadata.get("CONVERSION_METADATA", b""))
    if raw:
        try:
            root = _Table(raw, struct.unpack_from("<I", raw)[0])
            parts = [root.table(0), root.table(1)]
            if parts[0] is not None:
                found |= _environment(parts[0])
            if parts[1] is not None:
                found |= _options(parts[1])
        except struct.error:
            found["conversion_metadata"] = "cannot be read"
    return found
