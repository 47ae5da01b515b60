"""Rules on the graph and the file: dynamic shapes, and what is there but of no use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thimble.errors import ThimbleError
from thimble.policy.contract import (
    Rule,
    Settings,
    Subject,
    Violation,
    is_float,
    place_of,
)

MIN_DUPLICATE_BYTES = 64  # below this, sharing saves nothing worth a word
INT32 = np.iinfo(np.int32)


def _dynamic(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        moving = [
            t
            for t, tensor in enumerate(graph.tensors)
            if tensor.shape_signature is not None and -1 in tensor.shape_signature
        ]
        for t in graph.inputs:
            if t in moving:
                signature = graph.tensors[t].shape_signature or ()
                shape = ", ".join("?" if size < 0 else str(size) for size in signature)
                found = f"input has the shape [{shape}], and {len(moving)} tensors depend on it"
                yield place_of(prefix, graph, t), found
        if moving and not set(moving) & set(graph.inputs):
            found = f"{len(moving)} tensors have dynamic shapes"
            yield place_of(prefix, graph, moving[0]), found


def _space_to_batch(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        if view.op.name in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND") and any(
            t is not None and t.shape_signature is not None and -1 in t.shape_signature
            for t in (view.inputs[0] if view.inputs else None, *view.outputs)
        ):
            yield place, "has a dynamic batch, which TFLM computes as if it were 1"


def _unused_tensors(subject: Subject, settings: Settings) -> Iterator[Violation]:
    named = {
        (s.subgraph, t)
        for s in subject.model.signatures
        for t in (*s.inputs.values(), *s.outputs.values())
    }
    for g, (prefix, graph) in enumerate(subject.graphs()):
        used = {*graph.inputs, *graph.outputs, *(t for k, t in named if k == g)}
        for node in graph.nodes:
            used.update(node.inputs, node.outputs, node.intermediates)
        for t, tensor in enumerate(graph.tensors):
            if t not in used:
                what = (
                    f"a constant of {tensor.data.nbytes} bytes"
                    if tensor.data is not None
                    else ("nothing writes it")
                )
                yield place_of(prefix, graph, t), f"no layer reads it ({what})"


def _unused_buffers(subject: Subject, settings: Settings) -> Iterator[Violation]:
    if subject.content is None:
        return
    from thimble.formats.tflite.flatbuffer import decode

    try:
        file = decode(subject.content, "Model", subject.model.source)
    except ThimbleError:  # a model that was made otherwise than from this file
        return
    used = {0, *(int(i) for i in file["metadata_buffer"])}
    used |= {entry["buffer"] for entry in file["metadata"]}
    used |= {t["buffer"] for graph in file["subgraphs"] for t in graph["tensors"]}
    for i, buffer in enumerate(file["buffers"]):
        size = len(buffer["data"]) or buffer["size"]
        if i not in used and size:
            yield f"buffer {i}", f"nothing refers to its {size} bytes"


def _dead_layers(subject: Subject, settings: Settings) -> Iterator[Violation]:
    named = {(s.subgraph, t) for s in subject.model.signatures for t in s.outputs.values()}
    for g, (_, graph) in enumerate(subject.graphs()):
        wanted = {*graph.outputs, *(t for k, t in named if k == g)}
        dead = []
        for i in reversed(range(len(graph.nodes))):
            node = graph.nodes[i]
            has_effect = not node.outputs or any(
                t >= 0 and graph.tensors[t].is_variable for t in node.inputs
            )
            if has_effect or wanted.intersection(node.outputs):
                wanted.update(node.inputs)
            else:
                dead.append(i)
        for i in reversed(dead):
            yield (f"subgraph {g}, " if g else "") + graph.layer(i), "nothing reads its outputs"


def _duplicates(subject: Subject, settings: Settings) -> Iterator[Violation]:
    seen: dict[bytes, tuple[int, str]] = {}
    for prefix, graph in subject.graphs():
        for t, tensor in enumerate(graph.tensors):
            data = tensor.data
            if data is None or data.nbytes < MIN_DUPLICATE_BYTES:
                continue
            start = data.__array_interface__["data"][0]
            first = seen.setdefault(data.tobytes(), (start, place_of(prefix, graph, t)))
            if first[0] != start:  # one buffer that two tensors share is no duplicate
                yield place_of(prefix, graph, t), f"its {data.nbytes} bytes are those of {first[1]}"


def _int64(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        sums = {  # biases of int16 layers are sums of 64 bits
            node.inputs[2]
            for node in graph.nodes
            if len(node.inputs) > 2
            and node.inputs[0] >= 0
            and graph.tensors[node.inputs[0]].dtype == "int16"
        }
        read = {t for node in graph.nodes for t in node.inputs}
        written = {t for node in graph.nodes for t in node.outputs}
        for t, tensor in enumerate(graph.tensors):
            if tensor.dtype != "int64" or t in sums or t not in {*read, *written, *graph.inputs}:
                continue
            data = tensor.data
            if data is None:
                yield place_of(prefix, graph, t), "is computed in int64"
            elif data.size and INT32.min <= int(data.min()) and int(data.max()) <= INT32.max:
                yield place_of(prefix, graph, t), "is an int64 constant whose values fit int32"


def _float64(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        for t, tensor in enumerate(graph.tensors):
            if is_float(tensor) and tensor.dtype == "float64":
                yield place_of(prefix, graph, t), "is float64"


RULES = (
    Rule(
        "dynamic-shapes",
        "every shape is known before the model runs",
        "warning",
        _dynamic,
        "export with a fixed batch size, or fix it with `thimble repair`",
    ),
    Rule(
        "dynamic-space-to-batch",
        "SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND have a fixed batch",
        "warning",
        _space_to_batch,
        "export with batch size 1, or make a dilated convolution of them with `thimble repair`",
    ),
    Rule(
        "unused-tensors",
        "a layer, a port or a signature uses every tensor",
        "warning",
        _unused_tensors,
        "strip them with `thimble repair`",
    ),
    Rule(
        "unused-buffers",
        "a tensor or the metadata use every buffer of the file",
        "warning",
        _unused_buffers,
        "strip them with `thimble repair`",
    ),
    Rule(
        "dead-layers",
        "every layer has a part in an output",
        "warning",
        _dead_layers,
        "strip them with `thimble repair`",
    ),
    Rule(
        "duplicate-constants",
        f"no constant of {MIN_DUPLICATE_BYTES} bytes or more is stored twice",
        "warning",
        _duplicates,
        "Thimble stores them once; write the model again to shrink the file",
    ),
    Rule(
        "int64",
        "nothing is int64 where int32 does",
        "warning",
        _int64,
        "use int32 in the training framework, or fold it with `thimble repair`",
    ),
    Rule("float64", "nothing is float64", "warning", _float64, "use float32"),
)
