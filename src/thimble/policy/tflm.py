"""What TensorFlow Lite Micro's resolver has kernels for: ops, dtypes, and what they refuse.

Read from TFLM's kernels (commit 8f6596d, 2026-10) and compared with the wheel over the open
models. TFLM ignores op versions. The first `Limit` of an op that fails is the finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from thimble.ops.contract import Limit, NodeView, OpaqueOp, types

F, S8, S16, S32, S64 = "float32", "int8", "int16", "int32", "int64"


def _same(*dtypes: str) -> Limit:
    """Every input and output has one of these dtypes, the same for all."""
    return types(*(f"{dtype}? -> {dtype}" for dtype in dtypes))


def _first(*dtypes: str) -> Limit:
    """Input 0 and the outputs have one of these dtypes; the other inputs are parameters."""
    return types(*(f"{dtype} *? -> {dtype}" for dtype in dtypes))


def _compared(*dtypes: str) -> Limit:
    return types(*(f"{dtype} {dtype} -> bool" for dtype in dtypes))


def _rank(low: int, high: int, index: int = 0) -> Limit:
    words = f"of rank {low}" if low == high else f"of rank {low} to {high}"
    return Limit(
        f"input {index} is {words}",
        lambda n: not n.has(index) or low <= len(n.x(index).shape) <= high,
        lambda n: f"{list(n.x(index).shape)}",
    )


def _constant(*indices: int) -> Limit:
    return Limit(
        f"input {' and '.join(str(i) for i in indices)} is a constant",
        lambda n: all(not n.has(i) or n.x(i).is_constant for i in indices),
    )


def _equal_quantization(n: NodeView) -> bool:
    x, y = n.inputs[0], n.outputs[0]
    if x is None or x.quant is None or y.quant is None or x.dtype == F:
        return True
    if len(x.quant.scale) != 1 or len(y.quant.scale) != 1:
        return True
    return abs(float(x.scale) - float(y.scale)) <= 1e-6 and x.zero_point == y.zero_point


SAME_QUANTIZATION = Limit(
    "input and output have the same scale and zero point", _equal_quantization
)
PER_TENSOR_OUT = Limit(
    "the output is quantized per tensor",
    lambda n: all(y.quant is None or len(y.quant.scale) <= 1 for y in n.outputs),
)
NO_HYBRID = "float32 float32 float32? -> float32"
_WEIGHTED = types(
    NO_HYBRID,
    "int8 int8 int32? -> int8",
    "int8 int4 int32? -> int8",
    "int16 int8 int64? -> int16",
    "int16 int8 int32? -> int16",
)
_ANY = types("*? -> *")
_ANY_BUT_STRING = Limit(
    "no tensor is a string",
    lambda n: all(t is None or t.dtype != "string" for t in [*n.inputs, *n.outputs]),
)
_POOL = (_same(F, S8, S16), _rank(4, 4), SAME_QUANTIZATION)
_FLOAT = (_same(F),)
_FLOAT_S8 = (_same(F, S8),)
_FLOAT_S8_S16 = (_same(F, S8, S16),)
_REDUCE = (_first(F, S8),)
_LSTM = Limit(
    "the LSTM has no peephole, projection, layer normalization or coupled gates",
    lambda n: (
        all(not n.has(i) for i in (9, 10, 11, 16, 17, 20, 21, 22, 23))
        and all(n.has(i) for i in (1, 2, 3, 4))
    ),
)

TFLM: dict[str, Sequence[Limit]] = {
    "ABS": _FLOAT_S8_S16,
    "ADD": (_same(F, S8, S16, S32), _rank(0, 6)),
    "ADD_N": _FLOAT_S8,
    "ARG_MAX": (types("float32 int32 -> int32", "int8 int32 -> int32"),),
    "ARG_MIN": (types("float32 int32 -> int32", "int8 int32 -> int32"),),
    "ASSIGN_VARIABLE": (_ANY,),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": (_same(F, S8, S16), _rank(2, 5)),
    "BATCH_TO_SPACE_ND": (_first(F, S8), _rank(3, 4)),
    "BROADCAST_ARGS": (_same(S32, S64),),
    "BROADCAST_TO": (_ANY_BUT_STRING, _constant(1), _rank(0, 5)),
    "CALL_ONCE": (_ANY,),
    "CAST": (
        types(
            *(
                f"{x} -> {y}"
                for x in (S8, S16, S32, "uint32", F, "bool")
                for y in (S8, S16, S32, "uint32", F)
            )
        ),
    ),
    "CEIL": _FLOAT,
    "CONCATENATION": (_same(F, S8, S16, S32, S64, "bool"), _rank(0, 6)),
    "CONV_2D": (_WEIGHTED, _rank(4, 4)),
    "COS": _FLOAT,
    "CUMSUM": (_first(F, S8),),
    "DEPTHWISE_CONV_2D": (_WEIGHTED, _rank(4, 4)),
    "DEPTH_TO_SPACE": (_same(F, S8), _rank(4, 4)),
    "DEQUANTIZE": (types("int8 -> float32", "int16 -> float32", "uint8 -> float32"),),
    "DIV": (_same(F, S8, S32), _rank(0, 6)),
    "DYNAMIC_UPDATE_SLICE": (_first(F, S8, S16, S32),),
    "ELU": _FLOAT_S8,
    "EMBEDDING_LOOKUP": (
        types("int32 float32 -> float32", "int32 int8 -> float32", "int32 int8 -> int8"),
    ),
    "EQUAL": (_compared(F, "bool", S32, S64, S8),),
    "EXP": _FLOAT,
    "EXPAND_DIMS": (_first(F, S8, S16), _constant(1)),
    "FILL": (types(*(f"* {x} -> {x}" for x in (F, S8, S32))), _constant(0)),
    "FLOOR": _FLOAT,
    "FLOOR_DIV": _FLOAT,
    "FLOOR_MOD": _FLOAT,
    "FULLY_CONNECTED": (_WEIGHTED, _rank(2, 2, 1)),
    "GATHER": (types("float32 int32 -> float32", "int8 int32 -> int8"),),
    "GATHER_ND": (types("float32 int32 -> float32", "int8 int32 -> int8"),),
    "GREATER": (_compared(F, S32, S64, S8, S16),),
    "GREATER_EQUAL": (_compared(F, S32, S64, S8),),
    "HARD_SWISH": _FLOAT_S8,
    "IF": (_ANY,),
    "L2_NORMALIZATION": (_same(F, S8), _rank(0, 4)),
    "L2_POOL_2D": (_same(F), _rank(4, 4)),
    "LEAKY_RELU": _FLOAT_S8_S16,
    "LESS": (_compared(F, S32, S64, S8),),
    "LESS_EQUAL": (_compared(F, S32, S64, S8),),
    "LOG": _FLOAT,
    "LOGICAL_AND": (_same("bool"),),
    "LOGICAL_NOT": (_same("bool"),),
    "LOGICAL_OR": (_same("bool"),),
    "LOGISTIC": _FLOAT_S8_S16,
    "LOG_SOFTMAX": _FLOAT_S8,
    "MAXIMUM": (_same(F, S8, S16, S32, S64),),
    "MAX_POOL_2D": _POOL,
    "MEAN": (types(*(f"{x} int32 -> {x}" for x in (F, S8, S16))),),
    "MINIMUM": (_same(F, S8, S16, S32, S64),),
    "MIRROR_PAD": (_first(F, S8),),
    "MUL": (_same(F, S8, S16, S32), _rank(0, 6)),
    "NEG": _FLOAT,
    "NOT_EQUAL": (_compared(F, "bool", S32, S64, S8),),
    "PACK": (_same(F, S8, S16, S32, S64),),
    "PAD": (_first(F, S8, S16, S32), _constant(1), _rank(0, 5)),
    "PADV2": (_first(F, S8, S16, S32), _constant(1), _rank(0, 5)),
    "PRELU": (types("float32 -> float32", "int8 -> int8", "int16 int8 -> int16"),),
    "QUANTIZE": (
        types(
            "float32 -> int8",
            "float32 -> int16",
            "int8 -> int8",
            "int8 -> uint8",
            "int8 -> int16",
            "int8 -> int32",
            "int16 -> int8",
            "int16 -> int16",
            "int16 -> int32",
            "int32 -> int8",
            "int32 -> int16",
            "uint8 -> int8",
        ),
        PER_TENSOR_OUT,
    ),
    "READ_VARIABLE": (_ANY,),
    "REDUCE_ALL": (types("bool int32 -> bool"),),
    "REDUCE_MAX": _REDUCE,
    "REDUCE_MIN": _REDUCE,
    "RELU": _FLOAT_S8_S16,
    "RELU6": _FLOAT_S8_S16,
    "RESHAPE": (_ANY_BUT_STRING,),
    "RESIZE_BILINEAR": (_first(F, S8), _constant(1), _rank(4, 4)),
    "RESIZE_NEAREST_NEIGHBOR": (_first(F, S8, S16), _constant(1), _rank(4, 4)),
    "REVERSE_V2": (_first(F, "uint8", S8, S16, S32, S64, "bool"), _rank(0, 6)),
    "ROUND": _FLOAT,
    "RSQRT": _FLOAT_S8_S16,
    "SELECT_V2": (types(*(f"bool {x} -> {x}" for x in (F, S8, S16))),),
    "SHAPE": (_ANY,),
    "SIN": _FLOAT,
    "SLICE": (_first(F, S8, S16, S32, "bool"), _rank(0, 5)),
    "SOFTMAX": (types("float32 -> float32", "int8 -> int8", "int8 -> int16", "int16 -> int16"),),
    "SPACE_TO_BATCH_ND": (_first(F, S8), _rank(3, 4)),
    "SPACE_TO_DEPTH": (_same(F, S8), _rank(4, 4)),
    "SPLIT": (types(*(f"int32 {x} -> {x}" for x in (F, S8, S16, S32))), _constant(0)),
    "SPLIT_V": (_first(F, S8, S16, S32), _constant(2)),
    "SQRT": _FLOAT,
    "SQUARE": _FLOAT,
    "SQUARED_DIFFERENCE": (_same(F, S8, S16, S32),),
    "SQUEEZE": (_ANY_BUT_STRING,),
    "STRIDED_SLICE": (_first(F, S8, S16, S32, "bool"), _constant(1, 2, 3), _rank(0, 4)),
    "SUB": (_same(F, S8, S16, S32), _rank(0, 6)),
    "SUM": (_first(F, S8, S16),),
    "SVDF": (
        types(
            "float32 -> float32",
            "int8 int8 int16 int32? int16 -> int8",
            "int8 int8 int8 int32? int8 -> int8",
        ),
    ),
    "TANH": _FLOAT_S8_S16,
    "TRANSPOSE": (_first(F, S8, S16), _constant(1), _rank(0, 5)),
    "TRANSPOSE_CONV": (
        types(
            "int32 float32 float32 float32? -> float32",
            "int32 int8 int8 int32? -> int8",
            "int32 int8 int16 int64? -> int16",
            "int32 int8 int16 int16? -> int16",
        ),
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        Limit(
            "activations are float32 with float32 weights, or int8 or int16 with int8 weights",
            lambda n: (n.x().dtype, n.x(2).dtype) in ((F, F), (S8, S8), (S16, S8)),
            lambda n: f"{n.x().dtype} with {n.x(2).dtype}",
        ),
        _LSTM,
    ),
    "UNPACK": (_same(F, S8, S16, S32),),
    "VAR_HANDLE": (_ANY,),
    "WHILE": (_ANY,),
    "ZEROS_LIKE": (_same(F, S8, S32, S64),),
}
CUSTOM = frozenset(
    {
        "CIRCULAR_BUFFER",
        "TFLM_DECODE",
        "TFLite_Detection_PostProcess",
        "SignalDelay",
        "SignalEnergy",
        "SignalFftAutoScale",
        "SignalFilterBank",
        "SignalFilterBankLog",
        "SignalFilterBankSpectralSubtraction",
        "SignalFilterBankSquareRoot",
        "SignalFramer",
        "SignalIrfft",
        "SignalOverlapAdd",
        "SignalPCAN",
        "SignalRfft",
        "SignalStacker",
        "SignalWindow",
    }
)


@cache
def known_ops() -> frozenset[str]:
    """Names of all ops that TFLM can register."""
    return frozenset(TFLM) | CUSTOM


def refusal(view: NodeView) -> str:
    """Why TFLM has no kernel for a layer; empty where it has."""
    name = view.op.name
    if isinstance(view.op, OpaqueOp) and view.op.is_custom:
        return "" if name in CUSTOM else f"TFLM has no custom op {name}"
    if name not in TFLM:
        return f"TFLM has no {name}"
    if any(t is not None and "sparsity" in t.extra for t in view.inputs):
        return f"TFLM reads no sparse constants ({name})"
    for limit in TFLM[name]:
        try:
            holds = limit.holds(view)
            found = "" if holds else limit.found(view)
        except (IndexError, ValueError):  # inputs are missing
            holds, found = False, "too few inputs"
        if not holds:
            return f"TFLM's {name}: {limit.sentence}" + (f"; found {found}" if found else "")
    return ""
