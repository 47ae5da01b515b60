"""Models and files that the .tflite tests start from."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from models import ModelBuilder, op

from thimble.formats.tflite import schema
from thimble.graph import Graph, Model, Quant, Signature, Tensor
from thimble.ops.contract import OpaqueOp


def small() -> Model:
    """FULLY_CONNECTED int8 per channel, then RELU6."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "int8", 0.1, -3)
    weights = np.arange(-16, 16).astype(np.int8).reshape(8, 4)
    w = b.const("w", weights, scale=np.linspace(0.01, 0.02, 8), axis=0)
    bias = b.const("b", np.arange(8, dtype=np.int32), scale=np.linspace(0.001, 0.002, 8))
    relu = op("FULLY_CONNECTED", "FullyConnectedOptions", fused_activation_function="RELU")
    y = b.op(relu, [x, w, bias], [((1, 8), "int8", 0.02, 5)], version=4)
    z = b.op(op("RELU6"), [y], [((1, 8), "int8", 0.02, 5)], version=2)
    return b.build([z], signature="serving_default")


def everything() -> Model:
    """A model that uses every corner of the format at once."""
    b = ModelBuilder()
    x = b.input("x", (1, 4))
    state = b.variable("state", (1, 4))
    weights = np.arange(16, dtype=np.float32).reshape(4, 4)
    first = b.const("w", weights)
    again = b.const("w again", weights)
    b.const("empty", np.zeros(0, np.int32))
    b.const("half", np.ones((2, 3), np.float16))
    b.const("truth", np.array([True, False]))
    b.const("complex", np.array([1 + 2j], np.complex64))
    b.const("nibbles", np.array([0x21, 0x03], np.uint8), dtype="int4", shape=(3,))
    b.const("brain", np.zeros(4, np.uint8), dtype="bfloat16", shape=(2,))
    b.const("text", np.frombuffer(b"\1\0\0\0\x0c\0\0\0\x0e\0\0\0hi", np.uint8), dtype="string")
    quant = Quant(
        np.array([0.5, 0.25], np.float32),
        np.array([1, -1], np.int64),
        1,
        np.array([-1, -2], np.float32),
        np.array([1, 2], np.float32),
    )
    b.tensor(Tensor("channels", (3, 2), "int8", quant, np.ones((3, 2), np.int8)))
    blockwise = ("BlockwiseQuantization", {**schema.absent("BlockwiseQuantization"), "scales": 2})
    empty = Quant(np.zeros(0, np.float32), np.zeros(0, np.int64), details=blockwise)
    b.tensor(Tensor("blocks", (4,), "int4", empty, np.zeros(2, np.uint8)))
    dense = {**schema.absent("DimensionMetadata"), "dense_size": 2}
    sparse = {
        **schema.absent("DimensionMetadata"),
        "format": "SPARSE_CSR",
        "array_segments": ("Uint8Vector", {"values": np.array([0, 1, 2], np.uint8)}),
        "array_indices": ("Int32Vector", {"values": np.array([0, 3], np.int32)}),
    }
    sparsity = {
        "traversal_order": np.array([0, 1], np.int32),
        "block_map": np.zeros(0, np.int32),
        "dim_metadata": (dense, sparse),
    }
    b.tensor(
        Tensor("sparse", (2, 8), "int8", None, np.ones(2, np.uint8), extra={"sparsity": sparsity})
    )
    variant = {"shape": np.array([2], np.int32), "type": "int8", "has_rank": True}
    b.tensor(Tensor("list", (), "variant", extra={"variant_tensors": (variant,)}))
    b.tensor(Tensor("range", (2,), "float32", extra={"range": {"min": np.ones(1, np.float32)}}))
    b.tensor(Tensor("batch", (1, 4), "float32", shape_signature=(-1, 4), has_rank=False))
    added = b.op(
        op("ADD", "AddOptions", fused_activation_function="RELU6"),
        [x, state],
        [((1, 4), "float32")],
    )
    summed = b.op(op("FULLY_CONNECTED"), [added, first, None], [((1, 4), "float32")])
    b.nodes[-1] = dataclasses.replace(
        b.nodes[-1],
        intermediates=(state,),
        extra={
            "options": {"quantized_bias_type": "int32"},
            "mutating_variable_inputs": (False, True, False),
            "debug_metadata_index": 3,
        },
    )
    custom = OpaqueOp(op_name="Mine", fields={"bytes": b"\1\2\3"}, is_custom=True, builtin_code=32)
    own = b.op(custom, [summed, again], [((2,), "int32"), ((1, 4), "float32")], version=3)
    values = {**schema.defaults("StableHLOCompositeOptions"), "name": "odml.x"}
    values |= {"decomposition_subgraph_index": 1, "composite_attributes": b"\5\6"}
    composite = OpaqueOp("STABLEHLO_COMPOSITE", "StableHLOCompositeOptions", values, False, 206)
    out = b.op(composite, [own[1]], [((1, 4), "float32")])
    tensors = (Tensor("a", (1, 4), "float32"),)
    second = Graph("second", tensors, (), (0,), (0,), {"debug_metadata_index": 2})
    return Model(
        (b.graph([out, own[0]]), second),
        "made by a test",
        (Signature("s", {"in": x}, {"out": out}), Signature("t", {"a": 0}, {"a": 0}, 1)),
        {"min_runtime_version": b"1.14.0", "nothing": b""},
        "model",
        {"metadata_buffers": (b"legacy",), "files": {"labels.txt": b"cat\ndog\n"}},
    )


def raw_file(**changes: Any) -> dict[str, Any]:
    """A minimal file as nested dicts: one ADD without options."""
    tensor = {"shape": [2], "type": "float32", "name": "x"}
    file = {
        "version": 3,
        "operator_codes": [{"deprecated_builtin_code": 0, "builtin_code": 0}],
        "subgraphs": [
            {
                "tensors": [tensor, {**tensor, "name": "y"}],
                "inputs": [0],
                "outputs": [1],
                "operators": [{"opcode_index": 0, "inputs": [0, 0], "outputs": [1]}],
            }
        ],
        "buffers": [{}],
    }
    return {**file, **changes}
