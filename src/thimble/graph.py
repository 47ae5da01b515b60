"""The model as data: what to compute. Knows no C, no memory, no file format.

Everything is frozen: a pass builds a new `Graph` from an old one (weights are shared by reference).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from thimble.ops.contract import Op

# dtype name -> bytes per element as stored in a buffer; int4 is packed two to a byte, low nibble
# first.
ITEM_BITS = {
    "float16": 16,
    "bfloat16": 16,
    "float32": 32,
    "float64": 64,
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "uint4": 4,
    "uint8": 8,
    "uint16": 16,
    "uint32": 32,
    "uint64": 64,
    "bool": 8,
    "complex64": 64,
    "complex128": 128,
    "resource": 32,
    "variant": 32,
    "string": 8,
}


@dataclass(frozen=True, eq=False)
class Quant:
    """real = scale * (q - zero_point), per tensor (one scale) or per slice of `axis`.

    `scale` [1] or [C] float32, `zero_point` same length int64. `range_min`/`range_max` are what
    the file recorded (possibly empty) and do not enter the arithmetic. `details` is any custom
    quantization the file carries (e.g. blockwise), kept opaque so that it survives a round trip.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int = 0
    range_min: np.ndarray | None = None
    range_max: np.ndarray | None = None
    details: Any = None

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int = 0) -> Quant:
        """One scale and zero point for the whole tensor."""
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    @property
    def is_per_channel(self) -> bool:
        return len(self.scale) > 1

    def same_as(self, other: Quant | None) -> bool:
        """Equal scales and zero points, exactly."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
            and (not self.is_per_channel or self.axis == other.axis)
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named value. `data` is set for constants: an array of `shape` in `dtype`.

    Constants whose dtype NumPy lacks (int4, int2, bfloat16) keep the raw bytes of the file as
    uint8 [bytes] in `data`; `formats` unpacks int4 to int8 values on request. float16 is
    np.float16.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quant: Quant | None = None
    data: np.ndarray | None = None
    shape_signature: tuple[int, ...] | None = None  # -1 marks a dynamic dimension
    is_variable: bool = False
    has_rank: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)  # sparsity etc., opaque, for the writer

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        return (self.elements * ITEM_BITS[self.dtype] + 7) // 8

    @property
    def scale(self) -> np.float32:
        """The per-tensor scale. Raises ValueError when the tensor has none or several."""
        if self.quant is None or len(self.quant.scale) != 1:
            raise ValueError(f"tensor `{self.name}` has no single scale")
        return np.float32(self.quant.scale[0])

    @property
    def zero_point(self) -> int:
        """The per-tensor zero point. Raises ValueError when the tensor has none or several."""
        if self.quant is None or len(self.quant.zero_point) != 1:
            raise ValueError(f"tensor `{self.name}` has no single zero point")
        return int(self.quant.zero_point[0])


@dataclass(frozen=True, eq=False)
class Node:
    """One operator. `op` holds the kind and its options; -1 in `inputs` is an absent optional
    input.
    """

    op: Op
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    version: int = 1
    name: str = ""  # where it differs from the name of the first output
    intermediates: tuple[int, ...] = ()
    # mutating_variable_inputs, debug info...
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """One subgraph: `nodes` are in execution order; indices point into `tensors`."""

    name: str
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> Graph:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def producers(self) -> dict[int, int]:
        """tensor index -> index of the node that writes it."""
        return {t: i for i, node in enumerate(self.nodes) for t in node.outputs if t >= 0}

    def consumers(self) -> dict[int, list[int]]:
        """tensor index -> indices of the nodes that read it, in order."""
        readers: dict[int, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for t in dict.fromkeys(node.inputs):
                if t >= 0:
                    readers.setdefault(t, []).append(i)
        return readers

    def layer(self, index: int) -> str:
        """The name of a layer as every report and error prints it: layer 7 CONV_2D `conv_3`."""
        node = self.nodes[index]
        return f"layer {index} {node.op.name} `{self.layer_name(index)}`"

    def layer_name(self, index: int) -> str:
        """The node's own name, or its first output's."""
        node = self.nodes[index]
        if node.name:
            return node.name
        first = next((t for t in node.outputs if t >= 0), None)
        return self.tensors[first].name if first is not None else ""

    def _repr_html_(self) -> str:
        """What a notebook shows of a model with this graph."""
        return Model((self,), source=self.name or "graph")._repr_html_()


@dataclass(frozen=True)
class Signature:
    """A named entry point: input and output names mapped to tensor indices of one subgraph."""

    key: str
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    subgraph: int = 0


@dataclass(frozen=True, eq=False)
class Model:
    """A whole file: the main graph first, then the subgraphs that control flow refers to."""

    graphs: tuple[Graph, ...]
    description: str = ""
    signatures: tuple[Signature, ...] = ()
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    source: str = "model"  # file name for messages
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def graph(self) -> Graph:
        return self.graphs[0]

    def with_graph(self, graph: Graph) -> Model:
        """A copy whose main graph is `graph`."""
        return replace(self, graphs=(graph, *self.graphs[1:]))

    def save(self, path: str) -> None:
        """Write as .tflite (a temporary file first, then renamed)."""
        from thimble.formats.tflite import save

        save(self, path)

    def _repr_html_(self) -> str:
        """What a notebook shows: layers, shapes, weights, as `thimble inspect --html` does."""
        import importlib

        report = importlib.import_module("thimble.inspect").inspect(self)
        return str(report._repr_html_())
