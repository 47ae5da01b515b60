"""The .tflite schema as data: the tables, their fields, types and defaults.

Read out of the accessors of the `tflite` wheel by calling each with a table that records what it is
asked for, so that reader and writer know every op without a line per op. What LiteRT's schema
gained after the wheel's release is listed in `NEWER_FIELDS` and `NEWER_MEMBERS`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

Kind = Literal["scalar", "scalars", "string", "strings", "table", "tables", "union"]


@dataclass(frozen=True)
class Field:
    """One field of a table. `dtype` is a little-endian NumPy code for "scalar" and "scalars".

    The field that says which member a union holds is always the slot before the union's, and is not
    listed as a field of its own.
    """

    name: str
    slot: int
    kind: Kind
    dtype: str = ""
    default: Any = None
    target: str = ""  # name of the table, of the union, or of the enum of a scalar


_DTYPES = {
    "Bool": "|b1",
    "Int8": "|i1",
    "Uint8": "|u1",
    "Int16": "<i2",
    "Uint16": "<u2",
    "Int32": "<i4",
    "Uint32": "<u4",
    "Int64": "<i8",
    "Uint64": "<u8",
    "Float32": "<f4",
    "Float64": "<f8",
}

# The wheel returns enums as plain integers and does not say which: (table or "*", field) -> enum.
_ENUMS = {
    ("*", "fused_activation_function"): "ActivationFunctionType",
    ("*", "padding"): "Padding",
    ("*", "quantized_bias_type"): "TensorType",
    ("*", "output_type"): "TensorType",
    ("*", "out_type"): "TensorType",
    ("*", "idx_out_type"): "TensorType",
    ("*", "in_data_type"): "TensorType",
    ("*", "out_data_type"): "TensorType",
    ("*", "key_dtype"): "TensorType",
    ("*", "value_dtype"): "TensorType",
    ("Tensor", "type"): "TensorType",
    ("VariantSubType", "type"): "TensorType",
    ("LSHProjectionOptions", "type"): "LSHProjectionType",
    ("LSTMOptions", "kernel_type"): "LSTMKernelType",
    ("EmbeddingLookupSparseOptions", "combiner"): "CombinerType",
    ("FullyConnectedOptions", "weights_format"): "FullyConnectedOptionsWeightsFormat",
    ("MirrorPadOptions", "mode"): "MirrorPadMode",
    ("Operator", "custom_options_format"): "CustomOptionsFormat",
    ("StableHLOCompositeOptions", "composite_attributes_format"): "CustomOptionsFormat",
    ("ReduceWindowOptions", "reduce_function"): "ReduceWindowFunction",
    ("StablehloCompareOptions", "comparison_direction"): "StablehloComparisonDirection",
    ("StablehloCompareOptions", "compare_type"): "StablehloComparisonType",
    ("StablehloRngBitGeneratorOptions", "algorithm"): "RngAlgorithm",
    ("DimensionMetadata", "format"): "DimensionType",
}

_UNIONS = {
    "builtin_options": "BuiltinOptions",
    "builtin_options2": "BuiltinOptions2",
    "details": "QuantizationDetails",
    "array_segments": "SparseIndexVector",
    "array_indices": "SparseIndexVector",
}

# Additions of LiteRT 2.x to the schema of wheel 2.18.
NEWER_FIELDS = {
    "Tensor": (Field("external_buffer", 10, "scalar", "<u4", 0),),
    "BlockwiseQuantization": (
        Field("scales", 0, "scalar", "<i4", 0),
        Field("zero_points", 1, "scalar", "<i4", 0),
        Field("block_size", 2, "scalar", "<i4", 0),
        Field("block_shape", 3, "scalars", "<i4"),
    ),
    "MultiAxisQuantization": (
        Field("scales", 0, "scalar", "<i4", 0),
        Field("zero_points", 1, "scalar", "<i4", 0),
        Field("block_size", 2, "scalar", "<i4", 0),
        Field("quantized_dimensions", 3, "scalars", "<i4"),
    ),
    "StablehloCaseOptions": (Field("branch_subgraph_indices", 0, "scalars", "<i4"),),
}
NEWER_MEMBERS = {
    "TensorType": {19: "INT2", 20: "UINT4"},
    "BuiltinOperator": {209: "STABLEHLO_CASE"},
    "BuiltinOptions2": {23: "StablehloCaseOptions"},
    "QuantizationDetails": {2: "BlockwiseQuantization", 3: "MultiAxisQuantization"},
}


class _Done(Exception):
    """Ends an accessor once it has told what it reads."""


class _Recorder:
    """Stands in for `flatbuffers.table.Table`: notes what an accessor asks for."""

    def __init__(self, present: bool):
        self.present = present
        self.Pos, self.Bytes = 0, b""
        self.slot = -1
        self.read = ""  # "Vector" when a vector was opened
        self.kind: Kind | None = None
        self.flags: Any = None

    def Offset(self, vtable_offset: int) -> int:
        self.slot = (vtable_offset - 4) // 2
        return 4 if self.present else 0

    def Vector(self, offset: int) -> int:
        self.read = "Vector"
        return 0

    def Indirect(self, offset: int) -> int:
        self.kind = "tables" if self.read else "table"
        return 0

    def String(self, offset: int) -> bytes:
        self.kind = "strings" if self.read else "string"
        raise _Done

    def Union(self, table: Any, offset: int) -> None:
        self.kind = "union"
        raise _Done

    def Get(self, flags: Any, offset: int) -> Any:
        self.kind, self.flags = "scalars" if self.read else "scalar", flags
        raise _Done


def _probe(cls: Any, attribute: str, present: bool) -> tuple[_Recorder, Any]:
    instance = cls()
    instance._tab = recorder = _Recorder(present)
    accessor = getattr(instance, attribute)
    arguments = accessor.__func__.__code__.co_argcount - 1
    try:
        return recorder, accessor(*[0] * arguments)
    except _Done:
        return recorder, None


def snake(camel: str) -> str:
    """camelCase or CamelCase as snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", camel).lower()


@cache
def table(name: str) -> tuple[Field, ...]:
    """The fields of a table of the schema, in slot order. Raises KeyError for an unknown table."""
    newer = NEWER_FIELDS.get(name, ())
    try:
        module = importlib.import_module(f"tflite.{name}")
    except ModuleNotFoundError:
        if newer:
            return newer
        raise KeyError(name) from None
    cls = getattr(module, name)
    fields = [
        _field(cls, attribute)
        for attribute in vars(cls)
        if hasattr(module, f"{name}Add{attribute}")
    ]
    kinds = {f.slot - 1 for f in fields if f.kind == "union"}
    fields = [f for f in fields if f.slot not in kinds]
    return tuple(sorted([*fields, *newer], key=lambda f: f.slot))


def _field(cls: Any, attribute: str) -> Field:
    table_name, name = cls.__name__, snake(attribute)
    recorder, value = _probe(cls, attribute, True)
    kind = recorder.kind
    if kind is None:
        raise AssertionError(f"{table_name}.{attribute} reads nothing")
    dtype, target, default = "", "", None
    if kind in ("scalar", "scalars"):
        dtype = _DTYPES[recorder.flags.__name__.removesuffix("Flags")]
    if kind == "scalar":
        default = _probe(cls, attribute, False)[1]
        target = _ENUMS.get((table_name, name), _ENUMS.get(("*", name), ""))
    elif kind in ("table", "tables"):
        target = type(value).__name__
    elif kind == "union":
        target = _UNIONS[name]
    return Field(name, recorder.slot, kind, dtype, default, target)


@cache
def members(enum: str) -> Mapping[int, str]:
    """value -> name of an enum or union. TensorType names are ours: "int8"."""
    cls = getattr(importlib.import_module(f"tflite.{enum}"), enum)
    found = {
        value: name
        for name, value in vars(cls).items()
        if isinstance(value, int) and not name.startswith("_")
    }
    found |= NEWER_MEMBERS.get(enum, {})
    if enum == "TensorType":
        found = {value: name.lower() for value, name in found.items()}
    return MappingProxyType(found)


@cache
def values(enum: str) -> Mapping[str, int]:
    """name -> value of an enum or union."""
    return MappingProxyType({name: value for value, name in members(enum).items()})


@cache
def defaults(name: str) -> Mapping[str, Any]:
    """What a table without any field set means: options by field name, enums as strings."""
    return MappingProxyType(plain(absent(name)))


@cache
def absent(name: str) -> Mapping[str, Any]:
    """The values of a table without any field set, vectors as arrays, as `decode` gives them."""
    return MappingProxyType({f.name: default(f) for f in table(name)})


def default(field: Field) -> Any:
    """The value of an absent field: the schema's default, an empty vector or string, or None."""
    if field.kind == "scalar":
        return members(field.target)[field.default] if field.target else field.default
    if field.kind == "scalars":
        return np.zeros(0, np.dtype(field.dtype))
    return {"strings": (), "tables": (), "string": ""}.get(field.kind)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as plain values: vectors become tuples (of bytes: bytes), nested tables dicts."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes() if value.dtype == np.uint8 else tuple(value.tolist())
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    return value
