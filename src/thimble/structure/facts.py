"""A model as records that can be compared and written down: layers, tensors, wiring, digests.

The same records are made of a model and read from a lock, so that one comparison serves
`thimble check --like` and `thimble check --lock`; what a lock cannot hold is `TensorFacts.source`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from thimble.formats.tflite import schema
from thimble.graph import Graph, Model, Node, Quant, Tensor
from thimble.ops.contract import OpaqueOp
from thimble.structure.converter import converter

DIGEST_DIGITS = 16  # hex digits: 64 bits tell apart the few layers of a model
MAX_NAME = 200  # characters of a tensor's name in a record
MAX_SHOWN_NAME = 60  # and in a message
MAX_VALUES = 16  # elements of a small constant

# The order of dimensions in which weights are digested: what DEPTHWISE_CONV_2D stores as 1HWO is
# OHW1 in CONV_2D, and the digest of the same weights is to be the same.
DIGEST_ORDER = {"DEPTHWISE_CONV_2D": (3, 1, 2, 0)}


@dataclass(frozen=True)
class TensorFacts:
    """dtype, shape (-1: dynamic), quantization and, of a constant, the digest of its bytes.

    One scale is kept as it is. Of several there are the least, the largest and the digest.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None
    scales: int = 0
    axis: int | None = None
    scale_range: tuple[float, float] | None = None
    quantization: str | None = None  # digest of several scales and zero points
    data: str | None = None  # digest of a constant
    values: tuple[int, ...] | None = None  # of a small integer constant: a shape, axes, paddings
    is_variable: bool = False
    source: Tensor | None = field(default=None, compare=False, repr=False)  # None in a lock


@dataclass(frozen=True)
class LayerFacts:
    """One node. `reads` says where each input comes from: "input 0", "layer 3", "layer 3 output
    1", "constant", "variable" or "-".
    """

    index: int
    op: str
    version: int
    name: str
    options: Mapping[str, Any]
    reads: tuple[str, ...]
    constants: Mapping[int, TensorFacts]  # by input
    outputs: tuple[TensorFacts, ...]

    @property
    def place(self) -> str:
        """layer 7 CONV_2D `conv_3`, as everywhere."""
        return f"layer {self.index} {self.op} `{brief(self.name)}`"


@dataclass(frozen=True)
class GraphFacts:
    """One subgraph."""

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    writers: tuple[str, ...]  # of the outputs, as in `LayerFacts.reads`
    layers: tuple[LayerFacts, ...]


@dataclass(frozen=True)
class ModelFacts:
    """A whole file."""

    source: str
    graphs: tuple[GraphFacts, ...]
    signatures: tuple[str, ...] = ()
    converter: Mapping[str, str | int] = field(default_factory=dict)


def digest(*parts: bytes) -> str:
    """The first 64 bits of the SHA-256 of `parts` one after the other, in hex."""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:DIGEST_DIGITS]


def clean(name: str) -> str:
    """A name without control characters, of bounded length, that UTF-8 can hold."""
    text = name.encode("utf-8", "replace").decode()
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= MAX_NAME else f"{text[:MAX_NAME]}..."


def brief(name: str) -> str:
    """A name for a message: of `a/MatMul;a/Relu` the last, cut at the front when long."""
    if len(name) > MAX_SHOWN_NAME:
        name = name.rsplit(";", 1)[-1]
    return name if len(name) <= MAX_SHOWN_NAME else "..." + name[3 - MAX_SHOWN_NAME :]


def shortest(value: Any) -> float:
    """The float whose shortest decimal form is that of the float32 `value`: 0.1, not
    0.10000000149.
    """
    return float(str(np.float32(value)))


def tensor_facts(tensor: Tensor, order: Sequence[int] | None = None) -> TensorFacts:
    """The record of `tensor`; `order`: of the dimensions in which a constant is digested."""
    shape = tensor.shape_signature or tensor.shape
    return TensorFacts(
        clean(tensor.name),
        tensor.dtype,
        tuple(int(size) for size in shape),
        **_quant_facts(tensor.quant),
        data=_data_digest(tensor, order),
        values=_small_values(tensor),
        is_variable=tensor.is_variable,
        source=tensor,
    )


def _quant_facts(quant: Quant | None) -> dict[str, Any]:
    if quant is None or (not len(quant.scale) and quant.details is None):
        return {}
    if len(quant.scale) == 1 and quant.details is None:
        return {
            "scale": shortest(quant.scale[0]),
            "zero_point": int(quant.zero_point[0]),
            "scales": 1,
        }
    scale = np.asarray(quant.scale, "<f4")
    parts = [scale.tobytes(), np.asarray(quant.zero_point, "<i8").tobytes()]
    if quant.details is not None:
        parts.append(repr(quant.details).encode("utf-8", "replace"))
    found: dict[str, Any] = {
        "scales": len(scale),
        "axis": int(quant.axis),
        "quantization": digest(*parts),
    }
    if len(scale):
        found["scale_range"] = (shortest(scale.min()), shortest(scale.max()))
    return found


def _data_digest(tensor: Tensor, order: Sequence[int] | None) -> str | None:
    if tensor.data is None:
        return None
    data = tensor.data
    if order is not None and len(order) == data.ndim and "sparsity" not in tensor.extra:
        data = np.transpose(data, order)
    little = data.astype(data.dtype.newbyteorder("<"), copy=False)
    parts = [np.ascontiguousarray(little).tobytes()]
    if "sparsity" in tensor.extra:
        parts.append(repr(plain(tensor.extra["sparsity"])).encode())
    return digest(*parts)


def _small_values(tensor: Tensor) -> tuple[int, ...] | None:
    data = tensor.data
    if data is None or tensor.dtype not in ("int32", "int64") or tensor.quant is not None:
        return None
    if "sparsity" in tensor.extra or not 0 < data.size <= MAX_VALUES:
        return None
    return tuple(int(value) for value in data.reshape(-1))


def plain(value: Any) -> Any:
    """An option as numbers, strings, lists and dicts; long arrays and bytes as their digest."""
    if isinstance(value, Mapping):
        named = {str(k): plain(v) for k, v in value.items()}
        return {k: v for k, v in named.items() if v is not None}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"sha256:{digest(bytes(value))}"
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.size <= 16 else f"sha256:{digest(value.tobytes())}"
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean(str(value))


def options(node: Node) -> dict[str, Any]:
    """The options of a node that differ from the schema's defaults, whether or not the op has a
    room of its own.
    """
    op = node.op
    if isinstance(op, OpaqueOp):
        given = dict(op.fields)
        table = op.table
    else:
        given = {f.name: getattr(op, f.name) for f in fields(op)} if is_dataclass(op) else {}
        given |= node.extra.get("options", {})
        table = op.options_table
    try:
        default = schema.plain(schema.defaults(table)) if table else {}
    except KeyError:  # a table that the schema does not have
        default = {}
    found = {k: plain(v) for k, v in given.items()}
    kept = {k: v for k, v in found.items() if v is not None and v != plain(default.get(k))}
    return {k: v for k, v in sorted(kept.items()) if v not in ([], {})}


def graph_facts(graph: Graph) -> GraphFacts:
    """The records of one subgraph."""
    writers: dict[int, str] = {}
    for t, tensor in enumerate(graph.tensors):
        if tensor.is_constant:
            writers[t] = "constant"
        elif tensor.is_variable:
            writers[t] = "variable"
    writers |= {t: f"input {i}" for i, t in enumerate(graph.inputs)}
    layers = []
    for i, node in enumerate(graph.nodes):
        order = DIGEST_ORDER.get(node.op.name)
        constants = {
            k: tensor_facts(graph.tensors[t], order if k == 1 else None)
            for k, t in enumerate(node.inputs)
            if t >= 0 and graph.tensors[t].is_constant
        }
        layers.append(
            LayerFacts(
                i,
                clean(node.op.name),
                node.version,
                clean(graph.layer_name(i)),
                options(node),
                tuple(writers.get(t, "nothing") if t >= 0 else "-" for t in node.inputs),
                constants,
                tuple(tensor_facts(graph.tensors[t]) for t in node.outputs),
            )
        )
        for k, t in enumerate(node.outputs):
            writers[t] = f"layer {i}" if k == 0 else f"layer {i} output {k}"
    return GraphFacts(
        tuple(tensor_facts(graph.tensors[t]) for t in graph.inputs),
        tuple(tensor_facts(graph.tensors[t]) for t in graph.outputs),
        tuple(writers.get(t, "nothing") for t in graph.outputs),
        tuple(layers),
    )


def model_facts(model: Model) -> ModelFacts:
    """The records of a whole file."""
    return ModelFacts(
        model.source,
        tuple(graph_facts(graph) for graph in model.graphs),
        tuple(clean(signature.key) for signature in model.signatures),
        converter(model),
    )
