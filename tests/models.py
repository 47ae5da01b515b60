"""Builds small models in code, for tests that need a graph or a .tflite file.

    b = ModelBuilder()
    x = b.input("x", (1, 4), "int8", 0.1, -3)
    w = b.const("w", weights, scale=[0.01] * 8, axis=0)
    y = b.op(FullyConnected(...), [x, w, None], outputs=[((1, 8), "int8", 0.2, 5)])
    model = b.build(outputs=[y])

`Model` and `.save` / `thimble.formats.tflite.dumps` do the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thimble.formats.tflite import schema
from thimble.formats.tflite.read import builtin_op
from thimble.graph import Graph, Model, Node, Quant, Signature, Tensor
from thimble.ops.contract import Op

Scale = float | Sequence[float] | np.ndarray | None


def quantization(scale: Scale, zero_point: int | Sequence[int] = 0, axis: int = 0) -> Quant | None:
    """Per tensor for one scale, per slice of `axis` for several, None for None."""
    if scale is None:
        return None
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    zero_points = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape).copy()
    return Quant(scales, zero_points, axis)


def op(name: str, table: str | None = None, **options: Any) -> Op:
    """The op `name` with the schema's defaults changed by `options`; opaque where it has no room.

    `table` is the options table of the schema, needed only where an op has options but no room.
    """
    values = {**schema.defaults(table), **options} if table else dict(options)
    code = schema.values("BuiltinOperator")[name]
    room, rest = builtin_op(name, code, (table, values) if table else None)
    if rest:
        raise ValueError(f"{name} has no option {sorted(rest)}")
    return room


class ModelBuilder:
    """Collects tensors and nodes; every method that adds a tensor returns its index."""

    def __init__(self, name: str = "main"):
        self.name = name
        self.tensors: list[Tensor] = []
        self.nodes: list[Node] = []
        self.inputs: list[int] = []

    def tensor(self, tensor: Tensor) -> int:
        """Add any tensor."""
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def input(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        scale: Scale = None,
        zero_point: int | Sequence[int] = 0,
    ) -> int:
        """A graph input."""
        quant = quantization(scale, zero_point)
        self.inputs.append(self.tensor(Tensor(name, tuple(shape), dtype, quant)))
        return self.inputs[-1]

    def const(
        self,
        name: str,
        array: Any,
        *,
        scale: Scale = None,
        zero_point: int | Sequence[int] = 0,
        axis: int = 0,
        dtype: str | None = None,
        shape: Sequence[int] | None = None,
    ) -> int:
        """A constant. For dtypes NumPy lacks give the raw bytes with `dtype` and `shape`."""
        data = np.asarray(array)
        quant = quantization(scale, zero_point, axis)
        shape = data.shape if shape is None else tuple(shape)
        return self.tensor(Tensor(name, shape, dtype or data.dtype.name, quant, data))

    def variable(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "float32",
        scale: Scale = None,
        zero_point: int | Sequence[int] = 0,
    ) -> int:
        """A variable tensor (state that survives from one inference to the next)."""
        quant = quantization(scale, zero_point)
        return self.tensor(Tensor(name, tuple(shape), dtype, quant, is_variable=True))

    def op(
        self,
        op: Op,
        inputs: Sequence[int | None],
        outputs: Sequence[Sequence[Any]] | None = None,
        *,
        version: int = 1,
        names: Sequence[str] | None = None,
        intermediates: Sequence[int] = (),
    ) -> Any:
        """A node. `outputs` are (shape, dtype[, scale[, zero_point]]); inferred by the op if None.

        Returns the index of the output, or a tuple of indices where there are several.
        """
        given = tuple(-1 if t is None else t for t in inputs)
        if outputs is None:
            found = op.infer([None if t < 0 else self.tensors[t] for t in given])
            outputs = [(t.shape, t.dtype) for t in found]
        stem = f"{op.name.lower()}_{len(self.nodes)}"
        names = names or [stem if i == 0 else f"{stem}:{i}" for i in range(len(outputs))]
        written = tuple(
            self.tensor(Tensor(name, tuple(shape), dtype, quantization(*quant) if quant else None))
            for name, (shape, dtype, *quant) in zip(names, outputs, strict=True)
        )
        node = Node(op, given, written, version=version, intermediates=tuple(intermediates))
        self.nodes.append(node)
        return written[0] if len(written) == 1 else written

    def graph(self, outputs: Sequence[int]) -> Graph:
        """The graph alone."""
        return Graph(
            self.name,
            tuple(self.tensors),
            tuple(self.nodes),
            tuple(self.inputs),
            tuple(outputs),
        )

    def build(self, outputs: Sequence[int], signature: str | None = None) -> Model:
        """The model, with a signature (tensor names as argument names) where one is asked for."""
        signatures: tuple[Signature, ...] = ()
        if signature is not None:
            names = [tensor.name for tensor in self.tensors]
            signatures = (
                Signature(
                    signature, {names[t]: t for t in self.inputs}, {names[t]: t for t in outputs}
                ),
            )
        return Model((self.graph(outputs),), signatures=signatures)


def random_array(rng: np.random.Generator, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Full range of the dtype for 8 and 16 bits, 0..3 for wider integers, normal for floats."""
    if dtype in ("int8", "uint8", "int16", "uint16"):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if "int" in dtype:
        return rng.integers(0, 4, shape).astype(dtype)
    if dtype.startswith("complex"):
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def random_inputs(graph: Graph, seed: int = 0) -> list[np.ndarray]:
    """One seeded random array per graph input."""
    rng = np.random.default_rng(seed)
    tensors = [graph.tensors[t] for t in graph.inputs]
    return [random_array(rng, t.shape, t.dtype) for t in tensors]


def difference(a: Any, b: Any, path: str = "model") -> str | None:
    """Where two models (graphs, tensors, options ...) first differ, field by field, bit by bit."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return None if same else f"{path}: {a.dtype} {a.shape} {b.dtype} {b.shape}"
    if type(a) is not type(b):
        return f"{path}: {type(a).__name__} {type(b).__name__}"
    if dataclasses.is_dataclass(a):
        pairs = [(f.name, getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    elif isinstance(a, Mapping):
        if list(a) != list(b):
            return f"{path}: {list(a)} {list(b)}"
        pairs = [(key, a[key], b[key]) for key in a]
    elif isinstance(a, (tuple, list)):
        if len(a) != len(b):
            return f"{path}: {len(a)} elements, {len(b)}"
        pairs = [(i, x, y) for i, (x, y) in enumerate(zip(a, b))]
    else:
        return None if a == b or (a != a and b != b) else f"{path}: {a!r} {b!r}"
    found = (difference(x, y, f"{path}.{name}") for name, x, y in pairs)
    return next((text for text in found if text), None)
