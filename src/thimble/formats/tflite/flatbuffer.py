"""bytes <-> nested dicts, for any table of the schema, every access checked.

`decode` never reads outside the file, never follows a cycle (flatbuffer offsets only point forward)
and does work proportional to the file: shared objects may be visited again, but within a budget.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from thimble.errors import Finding, InvalidModel, UnsupportedModel
from thimble.formats.tflite import schema
from thimble.formats.tflite.schema import Field

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16  # what LiteRT and TFLM expect of weights, relative to the start of the file
MAX_FINDINGS = 20
MAX_TABLES = 200_000  # several times the largest model known to us
TOO_NEW = frozenset(
    {"unknown-enum", "unknown-options", "unknown-op", "schema-version", "external-buffer"}
)

_SCALARS = {
    "|b1": struct.Struct("<?"),
    "|i1": struct.Struct("<b"),
    "|u1": struct.Struct("<B"),
    "<i2": struct.Struct("<h"),
    "<u2": struct.Struct("<H"),
    "<i4": struct.Struct("<i"),
    "<u4": struct.Struct("<I"),
    "<i8": struct.Struct("<q"),
    "<u8": struct.Struct("<Q"),
    "<f4": struct.Struct("<f"),
    "<f8": struct.Struct("<d"),
}
_U16, _U32, _I32 = _SCALARS["<u2"], _SCALARS["<u4"], _SCALARS["<i4"]

_WIDER_HINT = "the file is damaged or was cut short: fetch or export it again"


class _Stop(Exception):
    """Decoding cannot usefully go on."""


def raise_findings(findings: list[Finding]) -> None:
    """Raise InvalidModel (UnsupportedModel when the file is just too new for us) on any error."""
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        all_newer = all(f.rule in TOO_NEW for f in errors)
        raise (UnsupportedModel if all_newer else InvalidModel)(findings)


def decode(data: bytes, root: str, source: str) -> dict[str, Any]:
    """The root table as a dict: field name -> value, absent fields holding the schema's default.

    Scalars are Python numbers (enums: their names), scalar vectors zero-copy NumPy views, tables
    dicts, unions (table name, dict) or None. Raises InvalidModel or UnsupportedModel with what was
    found.
    """
    decoder = _Decoder(data, source)
    try:
        value = decoder.table(root, decoder.u32(0), root)
    except _Stop:
        value = None
    raise_findings(decoder.findings)
    assert value is not None
    return value


class _Decoder:
    def __init__(self, data: bytes, source: str):
        self.data = data
        self.size = len(data)
        self.source = source
        self.findings: list[Finding] = []
        # A table takes 8 bytes of its own (vtable offset, and the offset that refers to it).
        # Objects may be shared, so the file may be visited several times, but not without bound.
        self.tables_left = min(self.size // 8 + 64, MAX_TABLES)
        self.bytes_left = 8 * self.size + 65536

    def bad(self, rule: str, path: str, message: str, hint: str = _WIDER_HINT) -> None:
        self.findings.append(Finding(rule, f"{self.source}, {path}", message, hint))
        if len(self.findings) >= MAX_FINDINGS:
            raise _Stop

    def u32(self, at: int) -> int:
        return int(_U32.unpack_from(self.data, at)[0])

    def spend(self, tables: int, octets: int, path: str) -> None:
        self.tables_left -= tables
        self.bytes_left -= octets
        if self.tables_left < 0 or self.bytes_left < 0:
            self.bad(
                "flatbuffer-bomb",
                path,
                "objects refer to each other so often that they unfold far beyond the "
                f"{self.size} bytes of the file",
                "this is not something a converter writes; do not trust the file",
            )
            raise _Stop

    def table(self, name: str, at: int, path: str) -> dict[str, Any] | None:
        """The table `name` at byte `at`, or None after a finding."""
        self.spend(1, 0, path)
        if at + 4 > self.size:
            self.bad("out-of-file", path, f"lies at byte {at} of a file of {self.size} bytes")
            return None
        vtable = at - _I32.unpack_from(self.data, at)[0]
        if not 0 <= vtable <= self.size - 4:
            self.bad("out-of-file", path, f"has its field table at byte {vtable} of {self.size}")
            return None
        vtable_bytes, table_bytes = struct.unpack_from("<HH", self.data, vtable)
        if vtable_bytes < 4 or vtable_bytes % 2 or vtable + vtable_bytes > self.size:
            self.bad(
                "bad-table", path, f"has a field table of {vtable_bytes} bytes at byte {vtable}"
            )
            return None
        if table_bytes < 4 or at + table_bytes > self.size:
            self.bad(
                "out-of-file", path, f"spans {table_bytes} bytes from byte {at} of {self.size}"
            )
            return None
        slots = struct.unpack_from(f"<{(vtable_bytes - 4) // 2}H", self.data, vtable + 4)
        values = dict(schema.absent(name))
        for field in schema.table(name):
            if field.slot < len(slots) and slots[field.slot]:
                kind = 0
                if field.kind == "union" and slots[field.slot - 1]:
                    kind = self.data[min(at + slots[field.slot - 1], self.size - 1)]
                values[field.name] = self.value(field, at + slots[field.slot], path, kind)
        return values

    def value(self, field: Field, at: int, path: str, kind: int) -> Any:
        """The field stored at byte `at` (a union of member `kind`); its default after a finding."""
        if field.kind == "scalar":
            return self.scalar(field, at, path)
        path = f"{path}.{field.name}"
        if at + 4 > self.size:
            self.bad("out-of-file", path, f"lies at byte {at} of a file of {self.size} bytes")
            return schema.default(field)
        target = at + self.u32(at)
        if field.kind == "table":
            return self.table(field.target, target, path)
        if field.kind == "union":
            return self.union(field, kind, target, path)
        length = self.length(field, target, path)
        if length is None:
            return schema.default(field)
        first = target + 4
        if field.kind == "string":
            return self.text(first, length, path)
        if field.kind == "scalars":
            return np.frombuffer(self.data, np.dtype(field.dtype), length, first)
        members: list[Any] = []
        for i in range(length):
            member_at = first + 4 * i
            member = member_at + self.u32(member_at)
            if field.kind == "tables":
                members.append(self.table(field.target, member, f"{path}[{i}]"))
            else:
                text_length = self.length(Field("", 0, "string"), member, f"{path}[{i}]")
                members.append(self.text(member + 4, text_length or 0, f"{path}[{i}]"))
        return tuple(m for m in members if m is not None)

    def scalar(self, field: Field, at: int, path: str) -> Any:
        reader = _SCALARS[field.dtype]
        if at + reader.size > self.size:
            self.bad("out-of-file", f"{path}.{field.name}", f"lies at byte {at} of {self.size}")
            return schema.default(field)
        (value,) = reader.unpack_from(self.data, at)
        if not field.target:
            return value
        name = schema.members(field.target).get(value)
        if name is None:
            self.bad(
                "unknown-enum",
                f"{path}.{field.name}",
                f"{value} is not a {field.target}",
                "the file is damaged, or written for a newer schema",
            )
            return schema.default(field)
        return name

    def union(self, field: Field, kind: int, at: int, path: str) -> tuple[str, Any] | None:
        if kind == 0:
            return None
        name = schema.members(field.target).get(kind)
        if name is None:
            self.bad(
                "unknown-options",
                path,
                f"{kind} is not a member of {field.target}",
                "the file is damaged, or written for a newer schema",
            )
            return None
        values = self.table(name, at, path)
        return None if values is None else (name, values)

    def length(self, field: Field, at: int, path: str) -> int | None:
        """Elements of the vector or string at byte `at`, or None after a finding."""
        if at + 4 > self.size:
            self.bad("out-of-file", path, f"lies at byte {at} of a file of {self.size} bytes")
            return None
        length = self.u32(at)
        width = {"scalars": np.dtype(field.dtype or "u1").itemsize, "string": 1}.get(field.kind, 4)
        if at + 4 + length * width > self.size:
            self.bad(
                "out-of-file",
                path,
                f"has {length} elements of {width} bytes from byte {at + 4} of {self.size}",
            )
            return None
        self.spend(0, length * width, path)
        return length

    def text(self, at: int, length: int, path: str) -> str:
        raw = self.data[at : at + length]
        try:
            return bytes(raw).decode("utf-8")
        except UnicodeDecodeError as error:
            self.bad("bad-utf8", path, f"{bytes(raw[:40])!r} is not UTF-8 text: {error.reason}")
            return ""


def encode(root: str, values: Mapping[str, Any]) -> bytes:
    """A file with the given root table. Fields that are missing or None are left out.

    The inverse of `decode`. Byte vectors are aligned to 16 bytes in the file.
    """
    import flatbuffers

    builder = flatbuffers.Builder(_estimate(values) + 4096)
    builder.Finish(_table(builder, root, values), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def _estimate(values: Any) -> int:
    if isinstance(values, np.ndarray):
        return values.nbytes + 32
    if isinstance(values, Mapping):
        return 64 + sum(_estimate(v) for v in values.values())
    if isinstance(values, (tuple, list, bytes, str)):
        if values and isinstance(values[0], (Mapping, str)) and not isinstance(values, str):
            return 32 + sum(_estimate(v) + 4 for v in values)
        return 32 + 8 * len(values)
    return 8


def _table(builder: Any, name: str, values: Mapping[str, Any]) -> int:
    fields = schema.table(name)
    unknown = values.keys() - {f.name for f in fields}
    if unknown:
        raise ValueError(f"{name} has no field {sorted(unknown)}")
    present = [f for f in fields if values.get(f.name) is not None]
    offsets = {  # children come before their parent in the builder
        f.name: _child(builder, f, values[f.name]) for f in present if f.kind != "scalar"
    }
    builder.StartObject(max((f.slot for f in fields), default=-1) + 1)
    for field in present:
        if field.kind == "scalar":
            _scalar(builder, field, values[field.name])
        else:
            if field.kind == "union":
                kind = schema.values(field.target)[values[field.name][0]]
                builder.PrependUint8Slot(field.slot - 1, kind, 0)
            builder.PrependUOffsetTRelativeSlot(field.slot, offsets[field.name], 0)
    return int(builder.EndObject())


def _scalar(builder: Any, field: Field, value: Any) -> None:
    from flatbuffers import number_types

    flags = {
        "|b1": number_types.BoolFlags,
        "|i1": number_types.Int8Flags,
        "|u1": number_types.Uint8Flags,
        "<i2": number_types.Int16Flags,
        "<u2": number_types.Uint16Flags,
        "<i4": number_types.Int32Flags,
        "<u4": number_types.Uint32Flags,
        "<i8": number_types.Int64Flags,
        "<u8": number_types.Uint64Flags,
        "<f4": number_types.Float32Flags,
        "<f8": number_types.Float64Flags,
    }[field.dtype]
    if field.target:
        value = schema.values(field.target)[value]
    builder.PrependSlot(flags, field.slot, value, field.default)


def _child(builder: Any, field: Field, value: Any) -> int:
    if field.kind == "string":
        return int(builder.CreateString(value))
    if field.kind == "table":
        return _table(builder, field.target, value)
    if field.kind == "union":
        return _table(builder, *value)
    if field.kind == "scalars":
        return _vector(builder, field, value)
    if field.kind == "strings":
        members = [int(builder.CreateString(member)) for member in value]
    else:
        members = [_table(builder, field.target, member) for member in value]
    builder.StartVector(4, len(members), 4)
    for member in reversed(members):
        builder.PrependUOffsetTRelative(member)
    return int(builder.EndVector())


def _vector(builder: Any, field: Field, value: Any) -> int:
    if field.dtype != "|u1":
        return int(builder.CreateNumpyVector(np.asarray(value, np.dtype(field.dtype)).reshape(-1)))
    raw = value if isinstance(value, bytes) else np.asarray(value, np.uint8).tobytes()
    builder.StartVector(1, len(raw), BUFFER_ALIGNMENT)
    builder.head = builder.head - len(raw)
    builder.Bytes[builder.Head() : builder.Head() + len(raw)] = raw
    return int(builder.EndVector())
