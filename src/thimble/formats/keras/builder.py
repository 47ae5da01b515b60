"""Nodes and tensors of the graph as it is made, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from thimble.formats.keras.weights import Weights
from thimble.graph import Graph, Node, Tensor
from thimble.ops.contract import NodeView, Op
from thimble.ops.reshape import Reshape
from thimble.quantize.versions import float_version

Array = np.ndarray


class Unsupported(Exception):
    """A layer, or a use of one, that has no form in the graph. `hint` is the next step."""

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Call:
    """One call of a layer: what its converter is given. `inputs` are tensor indices."""

    kind: str
    name: str
    scope: str  # model/layer, the start of the names of its tensors
    config: Mapping[str, Any]
    weights: Weights
    inputs: Sequence[int]
    is_keras_2: bool

    @property
    def x(self) -> int:
        return self.inputs[0]

    def __getitem__(self, key: str) -> Any:
        return self.config[key]

    def get(self, key: str, default: Any = None) -> Any:
        """An option; `default` where the file has none, or null."""
        value = self.config.get(key)
        return default if value is None else value

    def pair(self, key: str, default: Any = 1) -> tuple[int, int]:
        """An option of two spatial dimensions: (rows, columns)."""
        value = self.get(key, default)
        values = [value, value] if isinstance(value, int) else list(value)
        if len(values) != 2:
            raise ValueError(f"{key} is {value!r}")
        return int(values[0]), int(values[1])

    def single(self, key: str, default: Any = 1) -> int:
        """An option of one spatial dimension."""
        value = self.get(key, default)
        return int(value) if isinstance(value, (int, float)) else int(value[0])

    def arrays(self, count: int | None = None) -> Sequence[Array]:
        """The layer's weights; `count` is how many there have to be."""
        arrays = self.weights.arrays()
        if count is not None and len(arrays) != count:
            raise ValueError(f"it has {len(arrays)} arrays of weights instead of {count}")
        return arrays

    def channels_last(self) -> None:
        """Refuse images whose channels come first."""
        if self.get("data_format", "channels_last") != "channels_last":
            hint = "build the model with data_format='channels_last'"
            raise Unsupported("its channels come before rows and columns", hint)


@dataclass
class Builder:
    """Collects tensors and nodes; tensors are float32."""

    tensors: list[Tensor] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def tensor(self, tensor: Tensor) -> int:
        """Add a tensor under a name that no other has; its index."""
        name, count = tensor.name, 1
        while name in self.names:
            name, count = f"{tensor.name}_{count}", count + 1
        self.names.add(name)
        self.tensors.append(Tensor(name, tensor.shape, tensor.dtype, tensor.quant, tensor.data))
        return len(self.tensors) - 1

    def input(self, name: str, shape: Sequence[int]) -> int:
        """A float32 input."""
        return self.tensor(Tensor(name, tuple(shape), "float32"))

    def const(self, name: str, values: Any, dtype: str = "float32") -> int:
        """A constant of the values given."""
        data = np.ascontiguousarray(values, np.dtype(dtype)).reshape(np.shape(values))
        return self.tensor(Tensor(name, data.shape, dtype, None, data))

    def shape(self, t: int) -> tuple[int, ...]:
        """The shape of a tensor."""
        return self.tensors[t].shape

    def add(self, op: Op, inputs: Sequence[int], name: str) -> int:
        """Append a node of one output, whose shape the op tells; the output's index."""
        given = [self.tensors[t] if t >= 0 else None for t in inputs]
        (found,) = op.infer(given)
        if min(found.shape, default=0) < 0:
            raise ValueError(f"{op.name} would have shape {list(found.shape)}")
        y = self.tensor(Tensor(name, tuple(int(s) for s in found.shape), found.dtype))
        self.nodes.append(Node(op, tuple(inputs), (y,)))
        return y

    def reshape(self, x: int, shape: Sequence[int], name: str) -> int:
        """`x` in another shape; `x` itself where it has that shape."""
        if self.shape(x) == tuple(shape):
            return x
        if int(np.prod(shape)) != self.tensors[x].elements:
            raise ValueError(f"{list(self.shape(x))} cannot become {list(shape)}")
        given = self.const(f"{name}/shape", list(shape), "int32")
        return self.add(Reshape(new_shape=tuple(shape)), [x, given], name)

    def graph(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> Graph:
        """What was collected, with the op versions that LiteRT asks for."""
        graph = Graph(name, tuple(self.tensors), tuple(self.nodes), tuple(inputs), tuple(outputs))
        nodes = (
            replace(node, version=float_version(NodeView(graph, i)))
            for i, node in enumerate(graph.nodes)
        )
        return graph.with_(nodes=tuple(nodes))
