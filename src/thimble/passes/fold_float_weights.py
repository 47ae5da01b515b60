"""Constants that a float layer stores small become plain float32 constants.

    w float16 or int8 (constant) -> DEQUANTIZE -> f -> NEXT  ->  f float32 (constant) -> NEXT
    x float32, w int8 (constant) -> CONV_2D (hybrid)         ->  x, w float32 -> CONV_2D
    w sparse (constant) -> DENSIFY -> d -> NEXT              ->  d (constant) -> NEXT

What is left is a float model that every kernel here, and TensorFlow Lite Micro, can run. The values
are exactly those that the constants stand for. A hybrid kernel of LiteRT also rounds its
activations to int8 at run time, which this does not imitate: the result is nearer to the float
model.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np

from thimble.graph import Graph, Node, Quant, Tensor
from thimble.ops.contract import OpaqueOp, int_weights
from thimble.passes.sparse import densify

Array = np.ndarray

_STORED = ("float16", "int4", "int8", "uint8", "int16")
_HYBRID_VERSIONS = {
    "BATCH_MATMUL": (4,),
    "CONV_2D": (2, 5),
    "LSTM": (3, 4),
    "SVDF": (2, 4),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (2, 3),
}
# Ops that read the stored integers as such, not as the reals they stand for.
_RAW = {"CAST", "BITCAST", "DENSIFY", "QUANTIZE"}


def dequantize(values: Array, quant: Quant) -> Array | None:
    """float32(scale * (q - zero_point)), per tensor or slice; None for blockwise scales."""
    if quant.details is not None or not len(quant.scale):
        return None
    scale, zero_point = quant.scale.astype(np.float64), quant.zero_point
    if len(scale) > 1:
        if values.ndim <= quant.axis or values.shape[quant.axis] != len(scale):
            return None
        shape = [1] * values.ndim
        shape[quant.axis] = len(scale)
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    return ((values.astype(np.int64) - zero_point) * scale).astype(np.float32)


def _as_float(tensor: Tensor) -> Array | None:
    """The reals that a stored constant stands for as float32; None for other constants."""
    if tensor.data is None:
        return None
    data: Array | None = tensor.data
    if "sparsity" in tensor.extra:
        data = densify(tensor)
    elif tensor.dtype == "int4":
        data = int_weights(tensor)
    if data is None:
        return None
    if tensor.dtype in ("float16", "float32"):
        return data.astype(np.float32)
    return None if tensor.quant is None else dequantize(data, tensor.quant)


def _is_float_node(graph: Graph, node: Node) -> bool:
    """Whether a node computes on float32: all outputs and at least one computed input are."""
    if node.op.name in _RAW or (isinstance(node.op, OpaqueOp) and node.op.is_custom):
        return False
    outputs = [graph.tensors[t] for t in node.outputs if t >= 0]
    given = [graph.tensors[t] for t in node.inputs if t >= 0]
    computed = [t for t in given if not t.is_constant]
    return (
        bool(outputs)
        and all(t.dtype == "float32" for t in outputs)
        and not any(t.dtype in ("int8", "uint8", "int16") for t in computed)
        and (any(t.dtype == "float32" for t in computed) or node.op.name == "EMBEDDING_LOOKUP")
    )


def _plain_op(node: Node) -> Node:
    """The node without the options and the version of its hybrid kernel."""
    op = node.op
    if is_dataclass(op) and any(f.name == "asymmetric_quantize_inputs" for f in fields(op)):
        op = replace(op, asymmetric_quantize_inputs=False)
    return replace(node, op=op, version=_float_version(node))


def _float_version(node: Node) -> int:
    """The op version of the float kernel that has the node's options."""
    if node.op.name == "FULLY_CONNECTED":
        if len(node.inputs) == 2:
            return 6
        return 5 if getattr(node.op, "keep_num_dims", False) else 1
    if node.op.name == "DEPTHWISE_CONV_2D":
        factors = (
            getattr(node.op, "dilation_h_factor", 1),
            getattr(node.op, "dilation_w_factor", 1),
        )
        return 1 if factors == (1, 1) else 2
    hybrid = _HYBRID_VERSIONS.get(node.op.name, ())
    return 1 if node.version in hybrid else node.version


def fold_float_weights(graph: Graph) -> Graph:
    """The same graph with stored constants of float layers as float32 constants."""
    tensors = list(graph.tensors)
    consumers = graph.consumers()
    nodes: list[Node] = []
    floats: dict[int, int] = {}  # stored constant -> its float32 form
    computing = [_is_float_node(graph, node) for node in graph.nodes]

    def float_form(t: int) -> int | None:
        """The index of the float32 form of constant `t`, in its place if only floats read it."""
        if t not in floats:
            tensor = tensors[t]
            values = _as_float(tensor)
            if values is None:
                return None
            extra = {k: v for k, v in tensor.extra.items() if k != "sparsity"}
            plain = replace(tensor, dtype="float32", quant=None, data=values, extra=extra)
            if all(computing[i] for i in consumers[t]) and t not in graph.outputs:
                tensors[t] = plain
                floats[t] = t
            else:
                tensors.append(replace(plain, name=f"{tensor.name}_float32"))
                floats[t] = len(tensors) - 1
        return floats[t]

    for node, computes in zip(graph.nodes, computing):
        x = node.inputs[0] if node.inputs and len(node.outputs) == 1 else -1
        y = node.outputs[0] if node.outputs else -1
        if node.op.name == "DENSIFY" and min(x, y) >= 0 and tensors[x].is_constant:
            dense = densify(tensors[x]) if "sparsity" in tensors[x].extra else None
            if dense is not None and dense.shape == tensors[y].shape and y not in graph.outputs:
                tensors[y] = replace(tensors[y], data=dense)
                continue
        if node.op.name == "DEQUANTIZE" and min(x, y) >= 0 and tensors[x].is_constant:
            values = _as_float(tensors[x])
            is_plain = tensors[y].dtype == "float32" and y not in graph.outputs
            if values is not None and is_plain and values.shape == tensors[y].shape:
                tensors[y] = replace(tensors[y], data=values)
                continue
        if computes and node.op.name != "DEQUANTIZE":
            inputs, plain = list(node.inputs), False
            for k, t in enumerate(inputs):
                if t < 0 or not graph.tensors[t].is_constant:
                    continue
                stored = graph.tensors[t]
                if stored.dtype in _STORED or "sparsity" in stored.extra:
                    form = float_form(t)
                    if form is not None:
                        inputs[k] = form
                        plain = True
            if plain:
                node = replace(_plain_op(node), inputs=tuple(inputs))
        nodes.append(node)
    if len(nodes) == len(graph.nodes) and all(a is b for a, b in zip(nodes, graph.nodes)):
        return graph
    return graph.with_(tensors=tuple(tensors), nodes=tuple(nodes))
