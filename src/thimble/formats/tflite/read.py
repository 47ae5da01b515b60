"""Nested dicts of the .tflite schema -> Model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from thimble import invariants
from thimble import ops as op_rooms
from thimble.errors import Finding
from thimble.formats.tflite import schema
from thimble.formats.tflite.attached import attached_files
from thimble.formats.tflite.flatbuffer import decode, raise_findings
from thimble.graph import Graph, Model, Node, Quant, Signature, Tensor
from thimble.invariants import RAW_DTYPES, is_sane, shown
from thimble.ops.contract import Op, OpaqueOp

CUSTOM = 32  # BuiltinOperator.CUSTOM


@dataclass(frozen=True)
class _Code:
    """One entry of the file's table of operators."""

    name: str
    builtin: int
    version: int


def read(data: bytes, source: str) -> Model:
    """The model in the bytes of a .tflite file. Raises InvalidModel or UnsupportedModel."""
    return _Reader(data, source).model()


class _Reader:
    def __init__(self, data: bytes, source: str):
        self.data = data
        self.source = source
        self.findings: list[Finding] = []
        self.file = decode(data, "Model", source)
        self.buffers = [
            self.outside(b["data"], b["offset"], b["size"], f"buffer {i}")
            for i, b in enumerate(self.file["buffers"])
        ]
        self.codes = [self.code(c, i) for i, c in enumerate(self.file["operator_codes"])]

    def bad(self, rule: str, where: str, message: str, hint: str = "") -> None:
        where = f"{self.source}, {where}" if where else self.source
        self.findings.append(Finding(rule, where, message, hint))

    def model(self) -> Model:
        version = self.file["version"]
        if version != 3:
            self.bad(
                "schema-version",
                "",
                f"the schema version is {version}; 3 is the only one in use",
                "convert the model again with a current converter",
            )
        model = Model(
            graphs=tuple(self.graph(g, i) for i, g in enumerate(self.file["subgraphs"])),
            description=self.file["description"],
            signatures=tuple(self.signature(s) for s in self.file["signature_defs"]),
            metadata=self.metadata(),
            source=self.source,
            extra=self.extra(),
        )
        raise_findings([*self.findings, *invariants.check_model(model)])
        return model

    def outside(self, inside: np.ndarray, offset: int, size: int, where: str) -> np.ndarray:
        """The bytes of a buffer [bytes] uint8: inside the flatbuffer, or behind it at `offset`."""
        if len(inside) or offset <= 1:  # 0 and 1 mean "not used"
            return inside
        if offset + size > len(self.data):
            self.bad(
                "out-of-file",
                where,
                f"lies at bytes {offset}..{offset + size} of a file of {len(self.data)} bytes",
                "the file was cut short: fetch or export it again",
            )
            return np.zeros(0, np.uint8)
        return np.frombuffer(self.data, np.uint8, size, offset)

    def code(self, code: Mapping[str, Any], index: int) -> _Code:
        # Old files fill only the 8-bit field, some writers only the new one.
        builtin = max(code["builtin_code"], code["deprecated_builtin_code"])
        name = schema.members("BuiltinOperator").get(builtin)
        if builtin == CUSTOM:
            name = code["custom_code"]
            if not name:
                self.bad("custom-without-name", f"operator code {index}", "a custom op has no name")
        elif name is None:
            self.bad(
                "unknown-op",
                f"operator code {index}",
                f"builtin operator {builtin} is not in the schema",
                "the file is damaged, or written for a newer schema",
            )
            name = f"BUILTIN_{builtin}"
        return _Code(name or "CUSTOM", builtin, code["version"])

    def buffer(self, index: int, where: str) -> np.ndarray:
        if index < len(self.buffers):
            return self.buffers[index]
        if index:  # buffer 0 is "no data", also where the file has no buffers at all
            self.bad(
                "index-range",
                where,
                f"refers to buffer {index} of {len(self.buffers)}",
                "the file is damaged: fetch or export it again",
            )
        return np.zeros(0, np.uint8)

    def graph(self, graph: Mapping[str, Any], index: int) -> Graph:
        place = f"subgraph {index}, " if len(self.file["subgraphs"]) > 1 else ""
        inputs = _ints(graph["inputs"])
        # A tensor of zero elements has no bytes: it is a constant if nothing can give it a value.
        given = set(inputs).union(
            *(o["outputs"].tolist() for o in graph["operators"] if len(o["outputs"]))
        )
        extra = {}
        if graph["debug_metadata_index"] != -1:
            extra["debug_metadata_index"] = graph["debug_metadata_index"]
        return Graph(
            name=graph["name"],
            tensors=tuple(
                self.tensor(t, f"{place}tensor {i} {shown(t['name'])}", i in given)
                for i, t in enumerate(graph["tensors"])
            ),
            nodes=tuple(
                self.node(o, f"{place}layer {i}") for i, o in enumerate(graph["operators"])
            ),
            inputs=inputs,
            outputs=_ints(graph["outputs"]),
            extra=extra,
        )

    def tensor(self, tensor: Mapping[str, Any], where: str, given: bool) -> Tensor:
        shape, dtype = _ints(tensor["shape"]), tensor["type"]
        signature = _ints(tensor["shape_signature"])
        extra: dict[str, Any] = {}
        if tensor["sparsity"] is not None:
            extra["sparsity"] = tensor["sparsity"]
        if tensor["variant_tensors"]:
            extra["variant_tensors"] = tensor["variant_tensors"]
        if tensor["external_buffer"]:
            self.bad(
                "external-buffer",
                where,
                "keeps its data in another file",
                "export the model as one file",
            )
        quant = _quant(tensor["quantization"], shape, extra)
        raw = self.buffer(tensor["buffer"], where)
        data: np.ndarray | None = None
        if len(raw) or (0 in shape and not given and not tensor["is_variable"]):
            data = raw if "sparsity" in extra else _constant(raw, shape, dtype)
        return Tensor(
            name=tensor["name"],
            shape=shape,
            dtype=dtype,
            quant=quant,
            data=data,
            shape_signature=signature or None,
            is_variable=tensor["is_variable"],
            has_rank=tensor["has_rank"],
            extra=extra,
        )

    def node(self, operator: Mapping[str, Any], where: str) -> Node:
        extra: dict[str, Any] = {}
        op: Op = OpaqueOp(op_name="?")
        version = 1
        if operator["opcode_index"] < len(self.codes):
            code = self.codes[operator["opcode_index"]]
            version = code.version
            if code.builtin == CUSTOM:
                op = self.custom(code, operator, where)
            else:
                options = operator["builtin_options"] or operator["builtin_options2"]
                op, rest = builtin_op(code.name, code.builtin, options)
                if rest:
                    extra["options"] = rest
        else:
            self.bad(
                "index-range",
                where,
                f"refers to operator code {operator['opcode_index']} of {len(self.codes)}",
                "the file is damaged: fetch or export it again",
            )
        if len(operator["mutating_variable_inputs"]):
            extra["mutating_variable_inputs"] = tuple(operator["mutating_variable_inputs"].tolist())
        if operator["custom_options_format"] != "FLEXBUFFERS":
            extra["custom_options_format"] = operator["custom_options_format"]
        if operator["debug_metadata_index"] != -1:
            extra["debug_metadata_index"] = operator["debug_metadata_index"]
        return Node(
            op=op,
            inputs=_ints(operator["inputs"]),
            outputs=_ints(operator["outputs"]),
            version=version,
            intermediates=_ints(operator["intermediates"]),
            extra=extra,
        )

    def custom(self, code: _Code, operator: Mapping[str, Any], where: str) -> OpaqueOp:
        raw = self.outside(
            operator["custom_options"],
            operator["large_custom_options_offset"],
            operator["large_custom_options_size"],
            f"{where} {shown(code.name)}",
        )
        return OpaqueOp(
            op_name=code.name,
            fields={"bytes": raw.tobytes()},
            is_custom=True,
            builtin_code=CUSTOM,
        )

    def signature(self, signature: Mapping[str, Any]) -> Signature:
        key = signature["signature_key"]
        maps = {}
        for side in ("inputs", "outputs"):
            names = [m["name"] for m in signature[side]]
            if len(set(names)) != len(names):
                self.bad(
                    "signature-names", f"signature {shown(key)}", f"has two {side} of one name"
                )
            maps[side] = {m["name"]: int(m["tensor_index"]) for m in signature[side]}
        return Signature(key, maps["inputs"], maps["outputs"], int(signature["subgraph_index"]))

    def metadata(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for entry in self.file["metadata"]:
            where = f"metadata {shown(entry['name'])}"
            found[entry["name"]] = self.buffer(entry["buffer"], where).tobytes()
        return found

    def extra(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        indices = _ints(self.file["metadata_buffer"])
        if indices:
            where = "metadata_buffer"
            if min(indices) < 0:
                self.bad("index-range", where, f"refers to buffer {min(indices)}")
            found["metadata_buffers"] = tuple(
                self.buffer(i, where).tobytes() for i in indices if i >= 0
            )
        files = attached_files(self.data)
        if files:
            found["files"] = files
        codes = self.file["operator_codes"]
        old_missing = [
            code.name
            for code, fields in zip(self.codes, codes)
            if not fields["deprecated_builtin_code"] and code.builtin > 0
        ]
        if old_missing:
            found["only_new_builtin_code"] = tuple(dict.fromkeys(old_missing))
        return found


def builtin_op(
    name: str, code: int, options: tuple[str, Mapping[str, Any]] | None
) -> tuple[Op, dict[str, Any]]:
    """The op of a builtin operator, and the options its class has no field for.

    A missing table, or one of another kind, means the schema's defaults, as in LiteRT.
    """
    cls = op_rooms.find(name)
    if cls is None:
        table, values = (options[0], schema.plain(options[1])) if options else (None, {})
        return OpaqueOp(op_name=name, table=table, fields=values, builtin_code=code), {}
    if cls.options_table is None:
        return cls(), {}
    values = dict(schema.defaults(cls.options_table))
    rest: dict[str, Any] = {}
    if options and options[0] == cls.options_table:
        known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        default = dict(values)
        values = schema.plain(options[1])
        rest = {k: v for k, v in values.items() if k not in known and v != default[k]}
    wanted = [f.name for f in dataclasses.fields(cls) if f.name in values]  # type: ignore[arg-type]
    return cls(**{name: values[name] for name in wanted}), rest


def _quant(
    q: Mapping[str, Any] | None, shape: tuple[int, ...], extra: dict[str, Any]
) -> Quant | None:
    """The quantization of a tensor; ranges recorded without scales go to `extra`."""
    if q is None:
        return None
    scale = np.asarray(q["scale"], np.float32)
    recorded = {key: np.asarray(q[key], np.float32) for key in ("min", "max") if len(q[key])}
    if not len(scale) and q["details"] is None:
        if recorded:  # ranges without scales: a float tensor seen by quantization-aware training
            extra["range"] = recorded
        return None
    zero_point = np.asarray(q["zero_point"], np.int64)
    if not len(zero_point):
        zero_point = np.zeros(len(scale), np.int64)
    axis = q["quantized_dimension"]
    if not 0 <= axis < len(shape) and (len(scale) <= 1 or len(shape) == 1):
        axis = 0  # old converters copied the weights' axis to their rank 1 bias
    return Quant(scale, zero_point, axis, recorded.get("min"), recorded.get("max"), q["details"])


def _constant(raw: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """A view of the bytes as an array of `shape`; the raw bytes where that cannot be."""
    if dtype in RAW_DTYPES or not is_sane(shape, dtype):
        return raw
    array_dtype = np.dtype(dtype).newbyteorder("<")
    if len(raw) != prod(shape) * array_dtype.itemsize:
        return raw  # the rule data-size of thimble.invariants names what is wrong
    return raw.view(array_dtype).reshape(shape)


def _ints(vector: np.ndarray) -> tuple[int, ...]:
    return tuple(vector.tolist())
