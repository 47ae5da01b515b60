"""Element-wise ops over operands that are broadcast to the output: limits, loops, twins.

What `kernels/broadcast.h` expects as words and as its `walk` table is computed here. A tensor
[1, H, ...] of rank 3 or more is banded along H; anything else is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from typing import Any

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.contract import Array, Limit, NodeView, Shape, TensorType
from thimble.program import Arg, Window

MAX_RANK = 6
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def broadcast_shape(shapes: Sequence[Shape]) -> Shape | None:
    """The shape that `shapes` broadcast to, right-aligned as in NumPy; None where they do not."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for sizes in zip(*padded):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            return None
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def infer_broadcast(inputs: Sequence[Tensor | None], dtype: str) -> tuple[TensorType, ...]:
    """One output of `dtype` in the shape that the inputs broadcast to."""
    shape = broadcast_shape([t.shape for t in inputs if t is not None])
    if shape is None:
        raise ValueError("shapes do not broadcast")
    return (TensorType(shape, dtype),)


# --- limits --------------------------------------------------------------------------------------


def arity(inputs: int) -> Limit:
    """The op has `inputs` inputs and one output."""
    noun = "input" if inputs == 1 else "inputs"
    return Limit(
        f"must have {inputs} {noun} and 1 output",
        lambda n: (len(n.inputs), len(n.outputs)) == (inputs, 1),
        lambda n: f"{len(n.inputs)} and {len(n.outputs)}",
    )


def shapes_broadcast() -> Limit:
    """The inputs broadcast to the shape of the output, which the loops trust."""
    return Limit(
        f"inputs must broadcast to the shape of the output, of rank {MAX_RANK} at most",
        lambda n: (
            len(n.y().shape) <= MAX_RANK
            and broadcast_shape([t.shape for t in n.inputs if t is not None]) == n.y().shape
        ),
        lambda n: (
            ", ".join(str(list(t.shape)) for t in n.inputs if t is not None)
            + f" -> {list(n.y().shape)}"
        ),
    )


def same_shape() -> Limit:
    """Input 0 and output 0 have one shape, element for element."""
    return Limit(
        "input and output must have the same shape",
        lambda n: n.x().shape == n.y().shape,
        lambda n: f"{list(n.x().shape)} -> {list(n.y().shape)}",
    )


def fused_activation() -> Limit:
    """The fused activation is one that kernels clamp for."""
    return Limit(
        "the fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1, and NONE for int32",
        lambda n: (
            n.op.fused_activation_function == "NONE"
            or (n.op.fused_activation_function in ACTIVATIONS and n.y().dtype != "int32")
        ),
        lambda n: n.op.fused_activation_function,
    )


def int16_is_symmetric() -> Limit:
    """TFLite's int16 scheme has no zero points."""
    return Limit(
        "int16 tensors must have zero point 0",
        lambda n: all(
            t is None or t.dtype != "int16" or t.quant is None or not t.quant.zero_point.any()
            for t in [*n.inputs, *n.outputs]
        ),
    )


def int32_is_unquantized() -> Limit:
    """Raw int32 arithmetic would ignore a scale."""
    return Limit(
        "int32 tensors must carry no quantization",
        lambda n: all(
            t is None or t.dtype != "int32" or t.quant is None or not t.quant.scale.any()
            for t in [*n.inputs, *n.outputs]
        ),
    )


def one_quantization(inputs: tuple[int, ...]) -> Limit:
    """Raw values of these inputs and of the output mean the same reals."""

    def holds(n: NodeView) -> bool:
        quants = [n.x(i).quant for i in inputs] + [n.y().quant]
        first = quants[0]
        if first is None or not len(first.scale):
            return all(q is None or not len(q.scale) for q in quants)
        return all(first.same_as(q) for q in quants)

    return Limit(
        "quantized inputs and output must have the same scale and zero point",
        holds,
        lambda n: ", ".join(
            f"`{t.name}` {t.quant.scale[0]:.6g} ({t.quant.zero_point[0]})"
            for t in [*n.inputs, *n.outputs]
            if t is not None and t.quant is not None and len(t.quant.scale)
        ),
        hint="quantize the model anew, or insert a QUANTIZE",
    )


def factors_below(factors: Callable[[NodeView], Sequence[float]], int8_bits: int) -> Limit:
    """`factors(n)` of int8 nodes are below 2^int8_bits, where nothing can overflow when the zero
    point is added; those of int16 nodes have multipliers with shifts up to 30."""

    def bound(n: NodeView) -> float:
        return 2.0 ** {"int8": int8_bits, "int16": 30}[n.x().dtype]

    return Limit(
        f"input scales must be below 2^{int8_bits} (int16: 2^30) of the output scale",
        lambda n: (
            n.x().dtype not in ("int8", "int16")
            or all(isfinite(f) and abs(f) < bound(n) for f in factors(n))
        ),
        lambda n: ", ".join(f"factor {f:.3g}" for f in factors(n)),
    )


def is_below_one(factor: float) -> bool:
    """Whether the multiplier of `factor` needs no left shift (1 - 2^-33 would round up to 1)."""
    return isfinite(factor) and fixedpoint.quantize_multiplier(factor)[1] <= 0


# --- loops ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Loops:
    """The words of `kernels/broadcast.h`, the walk table, and what the schedule may cut."""

    rows: int
    words: dict[str, int]
    walk: Array | None
    banded: tuple[bool, ...]  # per operand: has a row for each row of y


def loops(shapes: Sequence[Shape], out: Shape, names: Sequence[str]) -> Loops:
    """Loops over y of shape `out`, row by row, for operands `names` that broadcast to it."""
    rank = len(out)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    first = 2 if rank >= 3 and out[0] == 1 and prod(out) > 0 else 0
    rows = out[1] if first else 1
    dims = [
        (extent, [0 if shape[d] == 1 else prod(shape[d + 1 :]) for shape in padded])
        for d, extent in enumerate(out)
        if d >= first and extent != 1
    ]
    merged: list[tuple[int, list[int]]] = []
    for extent, steps in dims:
        if merged and all(a == b * extent for a, b in zip(merged[-1][1], steps)):
            merged[-1] = (merged[-1][0] * extent, steps)
        else:
            merged.append((extent, steps))
    inner, steps = merged.pop() if merged else (prod(out[first:]), [0] * len(shapes))
    words = {"y_ring": rows, "y_row": prod(out[first:])}
    for name, shape, step in zip(names, padded, steps):
        words[f"{name}_ring"] = shape[1] if first else 1
        words[f"{name}_row"] = prod(shape[first:])
        words[f"{name}_step"] = step
    words |= {"outer": prod(extent for extent, _ in merged), "inner": inner, "rank": len(merged)}
    walk = np.array([[extent, *s] for extent, s in merged], np.int32) if merged else None
    return Loops(rows, words, walk, tuple(bool(first) and shape[1] == rows for shape in padded))


def call(
    n: Lowering,
    kernel: str,
    words: Mapping[str, int | float],
    names: Sequence[str] = ("x1", "x2"),
    shapes: Sequence[Shape] | None = None,
    tables: Mapping[str, Arg] | None = None,
) -> None:
    """Append the call of an element-wise kernel whose operands `names` are the inputs of `n`.

    `shapes` are what the operands broadcast as, where that is not how they are declared; `tables`
    are the constants of the kernel.
    """
    tensors = [n.x(i) for i in range(len(names))]
    found = loops(shapes or [t.shape for t in tensors], n.y().shape, names)
    arguments: dict[str, Any] = {**found.words, **words, **(tables or {})}
    arguments |= {name: n.input(i) for i, name in enumerate(names)}
    arguments["walk"] = None if found.walk is None else n.const(found.walk, "walk")
    arguments["y"] = n.output()
    windows = {
        name: Window()
        for name, tensor, is_banded in zip(names, tensors, found.banded)
        if is_banded and not tensor.is_constant
    }
    n.call(kernel, rows=found.rows, windows=windows, **arguments)


# --- twins ---------------------------------------------------------------------------------------


def bands(
    p: Any, y_first: int, y_count: int, operands: dict[str, Array], walk: Array | None, y: Array
) -> Iterator[tuple[Array, ...]]:
    """For each row of the band: the operands' elements (copies), then the view of y to write."""
    count = len(operands)
    table = [] if walk is None else walk[: p.rank * (1 + count)].reshape(p.rank, 1 + count).tolist()
    for r in range(y_first, y_first + y_count):
        gathered = []
        for k, (name, x) in enumerate(operands.items()):
            at = np.array([r % getattr(p, f"{name}_ring") * getattr(p, f"{name}_row")])
            for extent, *steps in [*table, (p.inner, *_steps(p, operands))]:
                at = (at[:, None] + np.arange(extent) * steps[k]).reshape(-1)
            gathered.append(x[at])
        start = r % p.y_ring * p.y_row
        yield (*gathered, y[start : start + p.y_row])


def _steps(p: Any, operands: dict[str, Array]) -> list[int]:
    return [getattr(p, f"{name}_step") for name in operands]


def clamp_to(p: Any, values: Array) -> Array:
    """Clamp to the fused activation, in the arithmetic of `values`."""
    if values.dtype == np.float32:
        return np.clip(values, np.float32(p.act_min), np.float32(p.act_max))
    return np.clip(values, p.act_min, p.act_max)


def activation_words(n: NodeView) -> dict[str, int | float]:
    """act_min and act_max of the op's fused activation, for the dtype of the output."""
    y, activation = n.y(), n.op.fused_activation_function
    if y.dtype == "float32":
        low, high = fixedpoint.activation_range_float(activation)
    else:
        low, high = fixedpoint.activation_range(activation, y.dtype, y.scale, y.zero_point)
    return {"act_min": low, "act_max": high}


def clamp_real(activation: str, values: Array) -> Array:
    """The fused activation of a float result."""
    low, high = fixedpoint.activation_range_float(activation)
    return np.clip(values, np.asarray(low, values.dtype), np.asarray(high, values.dtype))
