"""What is known of each layer of two models that were compared: the numbers that rules look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from thimble.explain.edits import (
    CARRIERS,
    Edit,
    laid_out_as,
    node_edits,
    pair_nodes,
    quantization_edit,
)
from thimble.explain.functions import Functions
from thimble.explain.judge import Judge
from thimble.explain.pair import FLOAT_RTOL
from thimble.explain.values import as_tensor, constant, quantization, real, same_grid
from thimble.graph import Model, Tensor
from thimble.trace import Trace

Array = np.ndarray

FLOAT_NOISE = 2e-5  # of a tensor's largest magnitude: order of additions, libm (docs/numerics.md)
REFERENCE = "reference"
KEPT = 2  # samples on which edits are tried one by one
ROUNDING_LSB = 1.05  # what one rounding to the grid may leave against real arithmetic, with slack


@dataclass(frozen=True, eq=False)
class Sample:
    """One sample of one layer, real values: both outputs, and what the layers make of inputs.

    `a_of_b` is A's layer fed with B's inputs, `b_of_b` B's layer fed with the same, both by the
    reference kernels; `judge` A's in real arithmetic fed with B's inputs, and
    `judge_constants` the same with all of B's constants.
    """

    a: Array
    b: Array
    a_of_b: Array | None
    b_of_b: Array | None
    judge: Array | None
    judge_constants: Array | None


@dataclass(eq=False)
class Layer:
    """A layer of B, its counterpart in A, and the samples of its output."""

    index: int
    op: str
    name: str
    tensor_a: Tensor
    tensor_b: Tensor
    nodes_a: list[int]
    nodes_b: list[int]
    is_alike: bool  # the same ops in the same order make it
    is_exact: bool  # inputs and output lie on the same grids, so that equal means equal
    edits: list[Edit] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def step(self) -> float:
        """One LSB of the output as B has it (as A has it, where B is float); 0 for floats."""
        return quantization(self.tensor_b)[0] or quantization(self.tensor_a)[0]

    @cached_property
    def magnitude(self) -> float:
        """The largest real value of A's output."""
        return max((float(np.abs(s.a).max(initial=0.0)) for s in self.samples), default=0.0)

    def _gap(self, pairs: Iterator[tuple[Array, Array | None]]) -> float | None:
        gaps = [_largest(x, y) for x, y in pairs if y is not None]
        return max(gaps) if gaps else None

    @cached_property
    def file_gap(self) -> float | None:
        """What the files' difference does: B's layer against A's on the same inputs."""
        if self.is_exact:
            return self._gap((s.a_of_b, s.b_of_b) for s in self.samples if s.a_of_b is not None)
        return self._gap((s.judge, s.b_of_b) for s in self.samples if s.judge is not None)

    @cached_property
    def other_gap(self) -> float | None:
        """What is left of `file_gap` once A's layer has B's constants (layers of two grids)."""
        return self._gap(
            (s.judge_constants, s.b_of_b) for s in self.samples if s.judge_constants is not None
        )

    @cached_property
    def explained_by_constants(self) -> float:
        """The share of the layer's squared error that goes once A's layer has B's constants."""
        before = after = 0.0
        for s in self.samples:
            if s.judge is None or s.judge_constants is None or s.b_of_b is None:
                continue
            before += float(np.square(s.judge - s.b_of_b).sum())
            after += float(np.square(s.judge_constants - s.b_of_b).sum())
        return max(0.0, 1 - after / before) if before and np.isfinite(before) else 0.0

    @property
    def noise(self) -> float:
        """The largest difference that rounding alone explains."""
        if self.step and not self.is_exact:
            roundings = sum(1 for _ in self.nodes_b) or 1
            return self.step * (ROUNDING_LSB + 0.5 * (roundings - 1))
        return 0.0 if self.step else FLOAT_NOISE * self.magnitude

    def is_file_at_fault(self) -> bool:
        """Whether the files' difference shows in the numbers of this layer."""
        return self.file_gap is not None and self.file_gap > self.noise


def _largest(x: Array, y: Array) -> float:
    if x.size != y.size:
        return float("inf")
    gap = np.abs(x.reshape(-1) - y.reshape(-1))
    same = (x.reshape(-1) == y.reshape(-1)) | (np.isnan(x).reshape(-1) & np.isnan(y).reshape(-1))
    gap = np.where(same, 0.0, np.where(np.isnan(gap), np.inf, gap))
    return float(gap.max(initial=0.0))


@dataclass(eq=False)
class Own:
    """One tensor of one side: what the reference makes of the side's own inputs, and what it has.

    `wanted` and `found` hold real values by sample.
    """

    side: str
    tensor: Tensor
    index: int
    nodes: list[int]  # of the side's graph, that make it from what its runner shows
    wanted: list[Array] = field(default_factory=list)
    found: list[Array] = field(default_factory=list)

    @cached_property
    def gap(self) -> float:
        """The largest difference of the runner from the reference."""
        return max((_largest(x, y) for x, y in zip(self.wanted, self.found)), default=0.0)

    @cached_property
    def magnitude(self) -> float:
        """The largest value that the reference makes."""
        return max((float(np.abs(x).max(initial=0.0)) for x in self.wanted), default=0.0)

    def is_at_fault(self) -> bool:
        """Whether the side's runner departs from the reference here."""
        is_float = self.tensor.dtype.startswith("float")
        return self.gap > (FLOAT_RTOL * self.magnitude if is_float else 0.0)


class Evidence:
    """Two models, the pairing of their tensors, and every layer's numbers over a few samples."""

    def __init__(
        self,
        a: Model,
        b: Model,
        match: Mapping[str, str],
        runners: tuple[str, str],
        rows: Sequence[tuple[int, str, str, tuple[str, ...]]] = (),
        functions: tuple[Functions | None, Functions | None] = (None, None),
    ):
        # Tensor of B -> (index, op, name) of the layer that B's runner says has made it.
        self.rows = {tensor: (index, op, name) for index, op, name, made in rows for tensor in made}
        self.source_a, self.source_b = a, b  # as the files have them
        self.a, self.b = functions[0] or Functions(a), functions[1] or Functions(b)
        self.runners = runners
        self.is_same_file = a is b or a.graphs == b.graphs
        self.match = {
            self.b.names[y]: self.a.names[x]
            for y, x in match.items()
            if y in self.b.names and x in self.a.names
        }
        self.layers: list[Layer] = []
        self.inputs: list[Edit] = list(self._input_edits())
        self.own: dict[str, dict[int, Own]] = {"a": {}, "b": {}}
        self.has_real_data = False  # not random samples
        self.has_own_inputs = False  # B was given other data than A
        self.repeats: list[Any] = []  # what running again has shown
        self.verdicts: dict[str, list[Any]] | None = None  # of runners, once they are judged
        self.input_relation: tuple[Any, ...] | None = None
        self.kept: list[tuple[dict[int, Array], int]] = []  # B's tensors as A's, sample number
        # Inputs of A and B as real values, and the run-time tensors of each, by sample.
        self.fed: list[tuple[list[Array], list[Array]]] = []
        self.values_a: list[dict[int, Array]] = []
        self.values_b: list[dict[int, Array]] = []
        self._judge: Judge | None = None
        self._judge_constants: Judge | None = None
        self._shared = self._build()

    def _input_edits(self) -> Iterator[Edit]:
        for t in self.b.graph.inputs:
            s = self.match.get(t)
            if s is not None:
                x, y = self.a.graph.tensors[s], self.b.graph.tensors[t]
                yield from quantization_edit(x, y, s, None, None)

    def _build(self) -> dict[str, Array]:
        """The layers with their edits; B's constants that are A's but for rounding, by A's name."""
        graph_a, graph_b = self.a.graph, self.b.graph
        known_a, known_b = set(self.match.values()), set(self.match)
        rounded: dict[str, Array] = {}
        for t in self.match:
            if t not in self.b.producers or graph_b.tensors[t].data is not None:
                continue
            s = self.match[t]
            nodes_b = self.b.region(t, known_b - {t})
            nodes_a = self.a.region(s, known_a - {s})
            index = self.b.producers[t]
            x, y = graph_a.tensors[s], graph_b.tensors[t]
            layer = Layer(
                index,
                graph_b.nodes[index].op.name,
                graph_b.layer_name(index),
                x,
                y,
                nodes_a,
                nodes_b,
                [graph_a.nodes[i].op.name for i in nodes_a]
                == [graph_b.nodes[j].op.name for j in nodes_b],
                same_grid(x, y) and self._inputs_agree(nodes_b, nodes_a),
            )
            pairs = pair_nodes(graph_a, graph_b, nodes_a, nodes_b)
            for i, j in pairs:
                layer.edits += node_edits(graph_a, graph_b, i, j, self.match)
                rounded.update(self._rounded(i, j))
            layer.edits += self._unpaired(pairs, nodes_a, nodes_b)
            self.layers.append(layer)
        self.layers.sort(key=lambda layer: layer.index)
        self._all = dict(rounded)
        for layer in self.layers:
            for edit in layer.edits:
                if edit.part in ("weights", "bias", "constant", "scale", "bias-scale"):
                    rounded.pop(edit.name, None)
        return rounded

    def _inputs_agree(self, nodes_b: Sequence[int], nodes_a: Sequence[int]) -> bool:
        """Whether every matched tensor that the region reads lies on the same grid in A."""
        if not nodes_a:
            return False
        read = {t for j in nodes_b for t in self.b.graph.nodes[j].inputs}
        return all(
            same_grid(self.a.graph.tensors[self.match[t]], self.b.graph.tensors[t])
            for t in read
            if t in self.match
        )

    def _rounded(self, i: int, j: int) -> Iterator[tuple[str, Array]]:
        for s, t in zip(self.a.graph.nodes[i].inputs, self.b.graph.nodes[j].inputs):
            if s < 0 or t < 0:
                continue
            x, y = self.a.graph.tensors[s], self.b.graph.tensors[t]
            is_real = x.dtype == "float32" or (x.quant is not None and len(x.quant.scale))
            if x.data is not None and y.data is not None and x.elements == y.elements and is_real:
                names = self.a.graph.nodes[i].op.name, self.b.graph.nodes[j].op.name
                values = laid_out_as(names[0], tuple(x.shape), names[1], constant(y)[0])
                if values is not None:
                    yield x.name, values.astype(np.float32)

    def _unpaired(
        self, pairs: Sequence[tuple[int, int]], nodes_a: Sequence[int], nodes_b: Sequence[int]
    ) -> Iterator[Edit]:
        left = {i for i, _ in pairs}
        unread = {self.b.graph.tensors[t].name for t in self.b.producers}
        right = {j for _, j in pairs}
        for i in nodes_a:
            made = {self.a.graph.tensors[t].name for t in self.a.graph.nodes[i].outputs}
            if made & unread:
                continue  # B has the layer, but reads past it
            if i not in left and self.a.graph.nodes[i].op.name not in CARRIERS:
                yield Edit("lacking", self.a.graph.nodes[i].op.name, i, None, i, None)
        for j in nodes_b:
            if j not in right and self.b.graph.nodes[j].op.name not in CARRIERS:
                yield Edit("added", self.b.graph.nodes[j].op.name, None, j, None, j)

    def values(self, side: str, inputs: Sequence[Array], trace: Trace) -> dict[int, Array]:
        """The run-time tensors of one sample by index of side "a" or "b"."""
        functions = self.a if side == "a" else self.b
        shown = {**trace.outputs, **trace.tensors}
        found = {functions.names[n]: v for n, v in shown.items() if n in functions.names}
        found.update(zip(functions.graph.inputs, inputs))
        return found

    def _moved(self, values_b: dict[int, Array]) -> tuple[dict[int, Array], dict[int, Array]]:
        """B's tensors as A's, by A's index: in A's dtype, and as real values."""
        graph_a, graph_b = self.a.graph, self.b.graph
        moved, moved_real = {}, {}
        for t, s in self.match.items():
            if t not in values_b or graph_a.tensors[s].data is not None:
                continue
            x, y = graph_a.tensors[s], graph_b.tensors[t]
            array = np.asarray(values_b[t])
            if array.size == x.elements:
                moved[s] = as_tensor(array, y, x).reshape(x.shape)
                is_real = quantization(y)[0] > 0 or y.dtype == "float32"
                values = real(array, y).astype(np.float32) if is_real else array
                moved_real[s] = values.reshape(x.shape)
        return moved, moved_real

    def expected(self, inputs: Sequence[Array], trace: Trace) -> dict[str, Array]:
        """What A's layers make of B's inputs, by B's tensor names, in A's dtype."""
        moved, _ = self._moved(self.values("b", inputs, trace))
        memo: dict[int, Array] = {}
        found = {}
        for layer in self.layers:
            array = self.a.tensor(self.a.names[layer.tensor_a.name], moved, memo)
            if array is not None:
                found[layer.tensor_b.name] = array
        return found

    def add(
        self, inputs: tuple[Sequence[Array], Sequence[Array]], traces: tuple[Trace, Trace]
    ) -> None:
        """Take one sample: the inputs of both and the traces of both."""
        values_a = self.values("a", inputs[0], traces[0])
        values_b = self.values("b", inputs[1], traces[1])
        moved, moved_real = self._moved(values_b)
        self.values_a.append(values_a)
        self.values_b.append(values_b)
        self.fed.append((self._reals(self.a, inputs[0]), self._reals(self.b, inputs[1])))
        number = max((len(layer.samples) for layer in self.layers), default=0)
        if len(self.kept) < KEPT:
            self.kept.append((moved, number))
        known_b = {t: v for t, v in values_b.items() if t in self.match}
        self._add_own("a", self.a, values_a)
        self._add_own("b", self.b, values_b)
        memos: list[dict[int, Array]] = [{} for _ in range(4)]
        for layer in self.layers:
            t, s = self.b.names[layer.tensor_b.name], self.a.names[layer.tensor_a.name]
            y, x = values_b.get(t), values_a.get(s)
            if y is None or x is None:
                continue
            a_of_b = self.a.tensor(s, moved, memos[0])
            b_of_b = self.b.tensor(t, known_b, memos[1])
            judged = constants = None
            if not layer.is_exact:
                self._judge = self._judge or Judge(self.a.model, self._shared)
                judged = self._judge.tensor(s, moved_real, memos[2])
                if len(self._shared) < len(self._all):
                    judge = self._judge_constants or Judge(self.a.model, self._all)
                    self._judge_constants = judge
                    constants = judge.tensor(s, moved_real, memos[3])
            shape = layer.tensor_b.shape if layer.tensor_b.elements == np.size(y) else np.shape(y)
            layer.samples.append(
                Sample(
                    _shaped(real(x, layer.tensor_a), shape),
                    _shaped(real(y, layer.tensor_b), shape),
                    _real(a_of_b, layer.tensor_a, shape),
                    _real(b_of_b, layer.tensor_b, shape),
                    None if judged is None else _shaped(judged.astype(np.float64), shape),
                    None if constants is None else _shaped(constants.astype(np.float64), shape),
                )
            )

    def _add_own(self, side: str, functions: Functions, values: dict[int, Array]) -> None:
        if self.runners[side == "b"] == REFERENCE:
            return  # it is what the others are measured by
        memo: dict[int, Array] = {}
        for t, array in values.items():
            if t not in functions.producers or t in functions.constants:
                continue
            wanted = functions.tensor(t, values, memo)
            if wanted is None:
                continue
            tensor = functions.graph.tensors[t]
            if t not in self.own[side]:
                nodes = functions.region(t, set(values) - {t})
                if any(functions.is_approximate(i) for i in nodes):
                    continue
                self.own[side][t] = Own(side, tensor, t, nodes)
            self.own[side][t].wanted.append(real(np.asarray(wanted), tensor))
            self.own[side][t].found.append(_shaped(real(np.asarray(array), tensor), wanted.shape))

    def is_runner_at_fault(self, side: str, name: str) -> bool:
        """Whether the runner of `side` departs from the reference in the tensor of that name."""
        functions = self.a if side == "a" else self.b
        own = self.own[side].get(functions.names.get(name, -1))
        return own is not None and own.is_at_fault()

    @staticmethod
    def _reals(functions: Functions, inputs: Sequence[Array]) -> list[Array]:
        tensors = [functions.graph.tensors[t] for t in functions.graph.inputs]
        return [real(np.asarray(x), t) for x, t in zip(inputs, tensors)]

    def patched(self, edit: Edit) -> Functions | None:
        """A's layers with one edit applied; None for an edit that cannot be applied alone."""
        if edit.patch is None:
            return None
        return Functions(self.a.model.with_graph(edit.patch(self.a.graph)))


def _shaped(array: Array, shape: tuple[int, ...]) -> Array:
    return array.reshape(shape) if array.size == int(np.prod(shape)) else array


def _real(array: Array | None, tensor: Tensor, shape: tuple[int, ...]) -> Array | None:
    return None if array is None else _shaped(real(np.asarray(array), tensor), shape)
