"""Model -> nested dicts of the .tflite schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from thimble.errors import Finding, UnsupportedModel
from thimble.formats.tflite import schema
from thimble.formats.tflite.attached import attach
from thimble.formats.tflite.flatbuffer import encode
from thimble.graph import Graph, Model, Node, Quant, Signature, Tensor
from thimble.ops.contract import Op, OpaqueOp

PLACEHOLDER = 127  # deprecated_builtin_code of every operator beyond 8 bits
MAX_FILE_BYTES = (1 << 31) - 1  # flatbuffer offsets


def write(model: Model) -> bytes:
    """The bytes of a .tflite file. Raises UnsupportedModel for what the format cannot hold."""
    return _Writer(model).file()


class _Writer:
    def __init__(self, model: Model):
        self.model = model
        self.buffers: list[Mapping[str, Any]] = [{}]  # buffer 0 means "no data"
        self.shared: dict[tuple[int, int], int] = {}
        self.codes: dict[tuple[int, str, int], int] = {}
        self.data_bytes = 0

    def file(self) -> bytes:
        model = self.model
        file = {
            "version": 3,
            "subgraphs": [self.graph(graph) for graph in model.graphs],
            "description": model.description or None,
            "metadata": [
                {"name": name, "buffer": self.buffer(np.frombuffer(content, np.uint8))}
                for name, content in model.metadata.items()
            ]
            or None,
            "metadata_buffer": [
                self.buffer(np.frombuffer(content, np.uint8))
                for content in model.extra.get("metadata_buffers", ())
            ]
            or None,
            "signature_defs": [_signature(signature) for signature in model.signatures] or None,
        }
        file["operator_codes"] = [_code(*key) for key in self.codes]
        file["buffers"] = self.buffers
        if self.data_bytes > MAX_FILE_BYTES - (64 << 20):
            raise UnsupportedModel(
                Finding(
                    "too-large",
                    model.source,
                    f"the constants take {self.data_bytes} bytes; a .tflite file holds 2 GiB",
                    "quantize or prune the model first",
                )
            )
        return attach(encode("Model", file), model.extra.get("files", {}))

    def buffer(self, data: np.ndarray) -> int:
        """The index of a buffer with these bytes; arrays of the same memory share one."""
        data = np.ascontiguousarray(data)
        address = data.__array_interface__["data"][0]
        key = (address, data.nbytes)
        if data.nbytes and key in self.shared:
            return self.shared[key]
        self.buffers.append({"data": data.reshape(-1).view(np.uint8)})
        self.data_bytes += data.nbytes
        self.shared[key] = len(self.buffers) - 1
        return len(self.buffers) - 1

    def graph(self, graph: Graph) -> dict[str, Any]:
        return {
            "name": graph.name or None,
            "tensors": [self.tensor(tensor) for tensor in graph.tensors],
            "inputs": graph.inputs,
            "outputs": graph.outputs,
            "operators": [self.node(node) for node in graph.nodes],
            **graph.extra,
        }

    def tensor(self, tensor: Tensor) -> dict[str, Any]:
        extra = dict(tensor.extra)
        recorded = extra.pop("range", None)
        return {
            "name": tensor.name,
            "shape": tensor.shape,
            "type": tensor.dtype,
            "buffer": 0 if tensor.data is None else self.buffer(tensor.data),
            "quantization": recorded if tensor.quant is None else _quant(tensor.quant),
            "is_variable": tensor.is_variable,
            "shape_signature": tensor.shape_signature,
            "has_rank": tensor.has_rank,
            **extra,
        }

    def node(self, node: Node) -> dict[str, Any]:
        extra = dict(node.extra)
        rest = extra.pop("options", {})
        operator: dict[str, Any] = {
            "opcode_index": self.code(node.op, node.version),
            "inputs": node.inputs,
            "outputs": node.outputs,
            "intermediates": node.intermediates or None,
            **extra,
        }
        if isinstance(node.op, OpaqueOp) and node.op.is_custom:
            operator["custom_options"] = node.op.fields.get("bytes") or None
            return operator
        table = node.op.options_table
        if table is not None:
            slot = (
                "builtin_options"
                if table in schema.values("BuiltinOptions")
                else "builtin_options2"
            )
            operator[slot] = (table, {**options(node.op), **rest})
        return operator

    def code(self, op: Op, version: int) -> int:
        custom = ""
        if isinstance(op, OpaqueOp):
            builtin = op.builtin_code
            if op.is_custom:
                builtin, custom = schema.values("BuiltinOperator")["CUSTOM"], op.op_name
            elif builtin < 0:
                builtin = schema.values("BuiltinOperator")[op.op_name]
        else:
            builtin = schema.values("BuiltinOperator")[op.name]
        return self.codes.setdefault((builtin, custom, version), len(self.codes))


def options(op: Op) -> Mapping[str, Any]:
    """The options of an op by schema name."""
    if isinstance(op, OpaqueOp):
        return op.fields
    known = {field.name for field in schema.table(str(op.options_table))}
    fields = dataclasses.fields(op)  # type: ignore[arg-type]
    return {f.name: getattr(op, f.name) for f in fields if f.name in known}


def _code(builtin: int, custom: str, version: int) -> dict[str, Any]:
    return {
        "deprecated_builtin_code": min(builtin, PLACEHOLDER),
        "builtin_code": builtin,
        "custom_code": custom or None,
        "version": version,
    }


def _quant(quant: Quant) -> dict[str, Any]:
    return {
        "min": quant.range_min,
        "max": quant.range_max,
        "scale": quant.scale,
        "zero_point": quant.zero_point,
        "details": quant.details,
        "quantized_dimension": quant.axis,
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "signature_key": signature.key,
        "inputs": [{"name": n, "tensor_index": t} for n, t in signature.inputs.items()],
        "outputs": [{"name": n, "tensor_index": t} for n, t in signature.outputs.items()],
        "subgraph_index": signature.subgraph,
    }
