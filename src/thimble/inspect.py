"""What is in a model: layers, shapes, quantization, bytes, MACs, and what Thimble makes of them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import Counter

from thimble.graph import Graph, Model, Tensor
from thimble.lower import unsupported
from thimble.ops.contract import NodeView, OpaqueOp
from thimble.report import InspectLayer, InspectReport, PortInfo
from thimble.support import runnable

SHOWN_METADATA_BYTES = 60


def inspect(model: Model, path: str | os.PathLike[str] | None = None) -> InspectReport:
    """The summary of `model`; with `path`, the size and hash of its file too."""
    graph = model.graph
    findings = unsupported(runnable(model))
    # by op and name: unfolding constants may have renumbered the layers
    refused = {_op_and_name(finding.where) for finding in findings}
    layers = [_layer(graph, i, model, refused) for i in range(len(graph.nodes))]
    constants = {
        id(t.data): t.data.nbytes for g in model.graphs for t in g.tensors if t.data is not None
    }
    file_bytes = digest = None
    if path is not None:
        with open(path, "rb") as file:
            content = file.read()
        file_bytes, digest = len(content), hashlib.sha256(content).hexdigest()
    return InspectReport(
        model=model.source,
        description=model.description,
        inputs=[_port(graph.tensors[t]) for t in graph.inputs],
        outputs=[_port(graph.tensors[t]) for t in graph.outputs],
        layers=layers,
        macs=sum(layer.macs or 0 for layer in layers),
        weights_bytes=sum(constants.values()),
        activation_peak_bytes=_peak_bytes(graph),
        state_bytes=sum(t.bytes for t in graph.tensors if t.is_variable),
        subgraphs=len(model.graphs),
        ops=dict(Counter(node.op.name for node in graph.nodes).most_common()),
        signatures=[s.key for s in model.signatures],
        metadata={name: _metadata(data) for name, data in model.metadata.items()},
        file_bytes=file_bytes,
        sha256=digest,
        findings=[finding.as_dict() for finding in findings],
        provenance={
            "macs": "counted from the shapes",
            "weights_bytes": "sum of the constants in the file, shared ones once",
            "activation_peak_bytes": "largest sum of live tensors, nothing in place",
        },
        graph=graph,
    )


def _op_and_name(where: str) -> str:
    """CONV_2D `conv_3` of "model.tflite, layer 7 CONV_2D `conv_3`"."""
    return where.rpartition(", layer ")[2].partition(" ")[2]


def _metadata(data: bytes) -> str:
    text = bytes(data).rstrip(b"\0")
    if (
        text
        and len(text) <= SHOWN_METADATA_BYTES
        and text.isascii()
        and text.decode().isprintable()
    ):
        return text.decode()
    return f"({len(bytes(data))} bytes)"


def _port(tensor: Tensor) -> PortInfo:
    quant = tensor.quant
    single = quant is not None and len(quant.scale) == 1
    return PortInfo(
        tensor.name,
        list(tensor.shape_signature or tensor.shape),
        tensor.dtype,
        float(tensor.scale) if single else None,
        tensor.zero_point if single else None,
    )


def _layer(graph: Graph, index: int, model: Model, refused: set[str]) -> InspectLayer:
    view = NodeView(graph, index)
    op = view.op
    is_supported = _op_and_name(f"{model.source}, {graph.layer(index)}") not in refused
    options: dict[str, object] = {}
    if isinstance(op, OpaqueOp):
        options = {k: v for k, v in op.fields.items() if k != "bytes"}
    elif dataclasses.is_dataclass(op):
        options = {
            f.name: getattr(op, f.name)
            for f in dataclasses.fields(op)
            if getattr(op, f.name) != f.default
        }
    first = view.outputs[0] if view.outputs else None
    return InspectLayer(
        index,
        op.name,
        graph.layer_name(index),
        [None if t is None else list(t.shape) for t in view.inputs],
        [list(t.shape) for t in view.outputs],
        first.dtype if first is not None else "",
        op.macs(view) if is_supported else None,
        sum(t.bytes for t in view.inputs if t is not None and t.is_constant),
        sum(t.bytes for t in view.outputs),
        options,
        is_supported,
    )


def _peak_bytes(graph: Graph) -> int:
    """max over layers of the bytes of all live tensors, in the file's order."""
    last = {t: i for i, node in enumerate(graph.nodes) for t in node.inputs if t >= 0}
    last |= {t: len(graph.nodes) for t in graph.outputs}
    live = {t for t in graph.inputs if graph.tensors[t].data is None}
    peak = sum(graph.tensors[t].bytes for t in live)
    for i, node in enumerate(graph.nodes):
        live |= {t for t in node.outputs if t >= 0}
        peak = max(peak, sum(graph.tensors[t].bytes for t in live))
        live = {t for t in live if last.get(t, i) > i}
    return peak
