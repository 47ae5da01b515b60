"""What an op is: one frozen dataclass that says everything about it in one file.

`ops/<stem>.py` holds, in this order: the formula as docstring; a frozen dataclass derived from
`Op` whose field names are the .tflite option names (so reader and writer are generic); `infer`;
`real`; `quant`; `limits`; `lower`; and the NumPy twin of each kernel of `kernels/<stem>.h`, same
name, same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from thimble.graph import Graph, Node, Tensor

if TYPE_CHECKING:
    from thimble.lower import Lowering

Array = np.ndarray
Shape = tuple[int, ...]


@dataclass(frozen=True)
class TensorType:
    """Shape and dtype of an output, as `infer` computes it."""

    shape: Shape
    dtype: str


@dataclass(frozen=True)
class QuantRule:
    """How TFLite's int8 quantization specification treats an op.

    output: "free" (calibrated), "same" (as input 0; all `activations` are then forced to share
        it) or "fixed" (scale and zero point prescribed per dtype in `fixed`).
    weights: input index -> axis of the per-channel scales (None: per tensor), symmetric, when
        constant.
    bias: index of the bias input (int32, scale = input scale x weight scale), or None.
    activations: indices of the inputs that are activations; None means every input that is not
        a weight, bias or integer parameter (paddings, shapes, axes).
    quantizable: False leaves the op in float (or integer) as it is.
    """

    output: Literal["free", "same", "fixed"] = "free"
    fixed: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    weights: Mapping[int, int | None] = field(default_factory=dict)
    bias: int | None = None
    activations: tuple[int, ...] | None = None
    quantizable: bool = True


class NodeView:
    """A node together with its tensors. What `limits`, `infer` and `lower` look at."""

    def __init__(self, graph: Graph, index: int):
        self.graph = graph
        self.index = index
        self.node: Node = graph.nodes[index]
        self.op: Any = self.node.op
        self.inputs: list[Tensor | None] = [
            graph.tensors[t] if t >= 0 else None for t in self.node.inputs
        ]
        self.outputs: list[Tensor] = [graph.tensors[t] for t in self.node.outputs]

    def x(self, i: int = 0) -> Tensor:
        """Input tensor i, which must be present."""
        tensor = self.inputs[i]
        if tensor is None:
            raise ValueError(f"{self.where} has no input {i}")
        return tensor

    def y(self, i: int = 0) -> Tensor:
        """Output tensor i."""
        return self.outputs[i]

    def has(self, i: int) -> bool:
        """Whether optional input i is present."""
        return i < len(self.inputs) and self.inputs[i] is not None

    def constant(self, i: int) -> Array:
        """The value of input i, which `limits` have checked to be a constant."""
        data = self.x(i).data
        if data is None:
            raise ValueError(f"{self.where} input {i} is not a constant")
        return data

    @property
    def where(self) -> str:
        return self.graph.layer(self.index)


@dataclass(frozen=True)
class Limit:
    """A sentence that must be true of a node, the predicate that checks it, and what was found.

    The sentence is the error message, the row of `thimble ops` and of docs/ops.md. A predicate may
    assume that the limits before it in the list hold: the first that fails ends the check of that
    node.
    """

    sentence: str
    holds: Callable[[NodeView], bool]
    found: Callable[[NodeView], str] = lambda n: ""
    hint: str = ""


class Op:
    """Base of all ops. Subclasses are frozen dataclasses; their fields are the op's options."""

    name: ClassVar[str]
    options_table: ClassVar[str | None] = None  # the schema's table, e.g. "Conv2DOptions"
    quant: ClassVar[QuantRule] = QuantRule()
    limits: ClassVar[Sequence[Limit]] = ()
    min_inputs: ClassVar[int] = 1  # inputs that must be present
    # output 0 may be the very bytes of input 0 (RESHAPE and its kin)
    is_alias: ClassVar[bool] = False

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        """Shapes and dtypes of the outputs. Constant inputs carry their values in `.data`."""
        raise NotImplementedError(f"{self.name}.infer")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        """The meaning, in float NumPy (integer inputs for shapes, axes and indices)."""
        raise NotImplementedError(f"{self.name}.real")

    def lower(self, n: Lowering) -> None:
        """Append the kernel calls of node `n` (all arithmetic on scales happens here)."""
        raise NotImplementedError(f"{self.name}.lower")

    def macs(self, n: NodeView) -> int:
        """Multiply-accumulates of one inference."""
        return 0


@dataclass(frozen=True)
class OpaqueOp(Op):
    """An op that Thimble only carries from file to file: no room yet, or a custom op.

    `fields` are the options by schema name, or {"bytes": custom_options} for a custom op.
    """

    op_name: str = ""
    table: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    is_custom: bool = False
    builtin_code: int = -1

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.op_name

    @property
    def options_table(self) -> str | None:  # type: ignore[override]
        return self.table


def types(*combinations: str) -> Limit:
    """The dtypes an op has kernels for, one combination a string: "int8 int8 int32 -> int8".

    "*" stands for any dtype; "int64?" for an input that may be absent; a single name, "int8", for
    "every float or quantized activation, in and out, is this dtype" is spelled "int8 -> int8".
    Extra inputs beyond those listed repeat the last one listed.
    """

    def matches(n: NodeView, combination: str) -> bool:
        left, right = combination.split("->")
        wanted_in, wanted_out = left.split(), right.split()
        if len(n.inputs) < sum(1 for want in wanted_in if not want.endswith("?")):
            return False
        for i, tensor in enumerate(n.inputs):
            want = wanted_in[min(i, len(wanted_in) - 1)]
            if tensor is None:
                if not want.endswith("?"):
                    return False
            elif want.rstrip("?") not in ("*", tensor.dtype):
                return False
        return all(
            wanted_out[min(i, len(wanted_out) - 1)] in ("*", tensor.dtype)
            for i, tensor in enumerate(n.outputs)
        )

    def found(n: NodeView) -> str:
        left = " ".join(t.dtype if t is not None else "-" for t in n.inputs)
        return f"{left} -> {' '.join(t.dtype for t in n.outputs)}"

    return Limit(
        "dtypes must be one of: " + "; ".join(combinations),
        lambda n: any(matches(n, combination) for combination in combinations),
        found,
    )


def scale_count(tensor: Tensor) -> int:
    """Number of scales of a tensor; 0 where it is not quantized."""
    return 0 if tensor.quant is None else len(tensor.quant.scale)


def constant_input(index: int, what: str) -> Limit:
    """Input `index` must be known at compile time."""
    return Limit(
        f"{what} must be a constant",
        lambda n: not n.has(index) or n.x(index).is_constant,
        lambda n: f"`{n.x(index).name}` is computed at run time",
    )


def quantized_per_tensor(n: NodeView, *, skip: tuple[int, ...] = ()) -> bool:
    """Whether every int8/int16 activation of the node has exactly one positive scale."""
    tensors = [t for i, t in enumerate(n.inputs) if i not in skip] + list(n.outputs)
    return all(
        t is None
        or t.dtype not in ("int8", "int16")
        or (t.quant is not None and len(t.quant.scale) == 1 and float(t.quant.scale[0]) > 0)
        for t in tensors
    )


def per_tensor(skip: tuple[int, ...] = ()) -> Limit:
    """int8 and int16 tensors need one positive scale (inputs in `skip` are exempt)."""
    return Limit(
        "int8 and int16 tensors must be quantized per tensor with a positive scale",
        lambda n: quantized_per_tensor(n, skip=skip),
        lambda n: ", ".join(
            f"`{t.name}` has {scale_count(t)} scales"
            for t in [*n.inputs, *n.outputs]
            if t is not None and t.dtype in ("int8", "int16")
        ),
    )


def int_weights(tensor: Tensor) -> Array:
    """Constant integer weights as an array of the tensor's shape; packed int4 is unpacked to
    int8.
    """
    data = tensor.data
    if data is None:
        raise ValueError(f"`{tensor.name}` is not a constant")
    if tensor.dtype != "int4":
        return data
    packed = data.reshape(-1).view(np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[: tensor.elements]
    return (((nibbles.astype(np.int16) + 8) & 15) - 8).astype(np.int8).reshape(tensor.shape)
