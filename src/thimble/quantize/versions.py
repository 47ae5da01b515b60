"""Op versions: what a .tflite file must say so that every runtime that lacks a kernel refuses it.

The numbers are TensorFlow's (its versioning table, TF 2.21): the first version of an op that has a
kernel for the dtype; for int16 those that TF 2.21 writes, where they differ. TFLM ignores them,
LiteRT does not. An op that is not listed has no kernel for
that dtype in TFLite, and stays in float.
"""

from __future__ import annotations

from typing import Any

from thimble.ops.contract import NodeView

INT8 = {
    "ABS": 2,
    "ADD": 2,
    "ARG_MAX": 2,
    "ARG_MIN": 2,
    "AVERAGE_POOL_2D": 2,
    "BATCH_MATMUL": 2,
    "BATCH_TO_SPACE_ND": 2,
    "BROADCAST_TO": 3,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEPTH_TO_SPACE": 2,
    "DEQUANTIZE": 2,
    "DIV": 2,
    "DYNAMIC_UPDATE_SLICE": 1,
    "ELU": 1,
    "EQUAL": 2,
    "EXP": 2,
    "EXPAND_DIMS": 1,
    "FULLY_CONNECTED": 4,
    "GATHER": 2,
    "GATHER_ND": 1,
    "GELU": 2,
    "GREATER": 2,
    "GREATER_EQUAL": 2,
    "HARD_SWISH": 1,
    "L2_NORMALIZATION": 2,
    "LEAKY_RELU": 1,
    "LESS": 2,
    "LESS_EQUAL": 2,
    "LOG": 2,
    "LOGISTIC": 2,
    "LOG_SOFTMAX": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MIRROR_PAD": 2,
    "MUL": 2,
    "NOT_EQUAL": 2,
    "PACK": 2,
    "PAD": 2,
    "PADV2": 2,
    "PRELU": 1,
    "QUANTIZE": 1,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "RELU": 2,
    "RELU6": 2,
    "RELU_N1_TO_1": 1,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "REVERSE_V2": 3,
    "RSQRT": 2,
    "SELECT": 2,
    "SELECT_V2": 1,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPACE_TO_BATCH_ND": 2,
    "SPACE_TO_DEPTH": 2,
    "SPLIT": 2,
    "SPLIT_V": 2,
    "SQUARED_DIFFERENCE": 2,
    "SQUEEZE": 1,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "SUM": 2,
    "TANH": 2,
    "TILE": 3,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 2,
    "UNPACK": 2,
}

INT16 = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 3,
    "BATCH_MATMUL": 3,
    "CONCATENATION": 3,
    "BATCH_TO_SPACE_ND": 3,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 3,
    "EXPAND_DIMS": 1,
    "FULLY_CONNECTED": 4,
    "GATHER": 4,
    "LEAKY_RELU": 2,
    "LOGISTIC": 3,
    "MAXIMUM": 4,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MINIMUM": 4,
    "MUL": 4,
    "PACK": 3,
    "PAD": 2,
    "PADV2": 3,
    "PRELU": 1,
    "QUANTIZE": 2,
    "RELU": 3,
    "RELU6": 3,
    "RESHAPE": 1,
    "RESIZE_NEAREST_NEIGHBOR": 4,
    "SELECT_V2": 1,
    "SLICE": 4,
    "SOFTMAX": 3,
    "SPACE_TO_BATCH_ND": 3,
    "SPLIT": 4,
    "SPLIT_V": 2,
    "SQUARED_DIFFERENCE": 2,
    "SQUEEZE": 1,
    "STRIDED_SLICE": 2,
    "SUB": 5,
    "SUM": 2,
    "TANH": 3,
    "TRANSPOSE": 5,
    "TRANSPOSE_CONV": 3,
    "UNPACK": 4,
}

TABLES = {"int8": INT8, "int16": INT16}


def has_version(op_name: str, dtype: str) -> bool:
    """Whether TFLite has a kernel of the op for activations of `dtype`."""
    return op_name in TABLES[dtype]


def float_version(n: NodeView) -> int:
    """The version that ranks and options ask for, whatever the dtype; 1 where they ask for none.

    A layer of float32 needs no other.
    """
    op: Any = n.op
    name = n.node.op.name
    ranks = [len(t.shape) for t in n.inputs if t is not None]
    rank = max(ranks, default=0)
    several = len({t.shape for t in n.inputs[:2] if t is not None}) > 1
    match name:
        case "FULLY_CONNECTED":
            return 6 if len(n.node.inputs) == 2 else 5 if op.keep_num_dims else 1
        case "CONV_2D":
            return 6 if n.x().shape[-1] != n.x(1).shape[-1] else 1
        case "DEPTHWISE_CONV_2D":
            return 1 if (op.dilation_h_factor, op.dilation_w_factor) == (1, 1) else 2
        case "TRANSPOSE_CONV":
            if op.fused_activation_function != "NONE":
                return 4
            return 3 if n.has(3) else 1
        case "PAD" | "PADV2":
            return 4 if rank > 4 else 1
        case "TRANSPOSE":
            return 6 if rank > 5 else 4 if rank > 4 else 1
        case "SLICE":
            return 5 if rank > 4 else 1
        case "STRIDED_SLICE":
            if op.ellipsis_mask or op.new_axis_mask:
                return 6
            return 4 if rank > 4 else 1
        case "SPACE_TO_BATCH_ND" | "BATCH_TO_SPACE_ND":
            return 3 if ranks[0] != 4 else 1
        case "MAXIMUM" | "MINIMUM" | "SUB":
            return 3 if several and rank > 4 else 1
        case "RESIZE_BILINEAR":
            return 3 if op.half_pixel_centers else 1
        case "RESIZE_NEAREST_NEIGHBOR":
            return 3 if op.half_pixel_centers or op.align_corners else 1
        case "DIV":
            return 2 if several and rank > 4 else 1
        case "BROADCAST_TO":
            return 2  # version 1 was withdrawn
        case "GATHER":
            return 5 if op.batch_dims else 1
        case _:
            return 1


def _scales_need(n: NodeView) -> int:
    """MUL whose multiplier reaches 1 is version 3."""
    if n.node.op.name != "MUL":
        return 1
    a, b, y = n.x(0), n.x(1), n.y()
    if a.quant is None or b.quant is None or y.quant is None:
        return 1
    return 3 if float(a.scale) * float(b.scale) / float(y.scale) >= 1 else 1


def version(n: NodeView, dtype: str) -> int:
    """The version of a node whose activations are `dtype`."""
    return max(TABLES[dtype][n.node.op.name], float_version(n), _scales_need(n))
