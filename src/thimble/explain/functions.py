"""A model's layers as functions: what layer i makes of inputs that somebody else computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedModel
from thimble.explain.values import as_tensor, real
from thimble.graph import Model
from thimble.lower import unsupported
from thimble.runners.reference import ReferenceRunner, single_node
from thimble.support import runnable
from thimble.trace import Trace

Array = np.ndarray
Values = dict[int, Array]

REMEMBERED = 2000  # layers' outputs: runs, both sides and every guess meet the same inputs


class Functions(ReferenceRunner):
    """The layers of `model` by the reference kernels; a layer without kernels is None, not an
    error, and one whose scales do not fit together is run all the same. `names` maps tensor names
    to indices of `model.graph`.
    """

    def __init__(self, model: Model):
        self._take(runnable(model))

    def _take(self, model: Model) -> None:
        self.model = model
        self._runners = {}
        self._copied: dict[int, Functions | None] = {}
        self._real: Functions | None = None
        self._done: dict[tuple[int, ...], list[Array] | None] = {}
        self.graph = self.model.graph
        self.names = {t.name: i for i, t in reversed(list(enumerate(self.graph.tensors)))}
        self.producers = self.graph.producers()
        self.constants = {i: t.data for i, t in enumerate(self.graph.tensors) if t.data is not None}
        self._missing: dict[int, str] = {}

    def missing(self, index: int) -> str:
        """Why node `index` cannot be computed; empty where it can."""
        if index not in self._missing:
            alone, _ = single_node(self.graph, index)
            used = {t for node in alone.nodes for t in (*node.inputs, *node.outputs)}
            kept = tuple(
                t if i in used else replace(t, shape=(), data=None, quant=None)
                for i, t in enumerate(alone.tensors)
            )
            found = unsupported(replace(self.model, graphs=(alone.with_(tensors=kept),)))
            self._missing[index] = found[0].message if found else ""
        return self._missing[index]

    def layer(self, index: int, values: Mapping[int, Array]) -> list[Array] | None:
        """Outputs of node `index` fed with `values` by tensor index; None where it cannot run."""
        node = self.graph.nodes[index]
        given = {**self.constants, **values}
        if any(t >= 0 and t not in given for t in node.inputs):
            return None
        if any(
            np.size(given[t]) != self.graph.tensors[t].elements
            for t in node.inputs
            if t >= 0 and t not in self.constants
        ):
            return None  # a runner that has the shape wrong
        shaped = {
            t: np.asarray(given[t]).reshape(self.graph.tensors[t].shape)
            for t in node.inputs
            if t >= 0 and t not in self.constants
        }
        key = (index, *(hash(array.tobytes()) for array in shaped.values()))
        if key not in self._done:
            if len(self._done) >= REMEMBERED:
                self._done.clear()
            self._done[key] = self._computed(index, shaped)
        return self._done[key]

    def _computed(self, index: int, shaped: Values) -> list[Array] | None:
        if self.missing(index):
            exact = self._as_copied(index, {**self.constants, **shaped})
            return exact if exact is not None else self._in_real(index, shaped)
        return self.node(index, {**self.constants, **shaped})

    def _as_copied(self, index: int, values: Values) -> list[Array] | None:
        """Node `index` as kernels run it that do not look whether the output's scale is the
        input's: the numbers are computed on the input's grid and taken for the output's.
        """
        if index not in self._copied:
            graph, node = self.graph, self.graph.nodes[index]
            x = graph.tensors[node.inputs[0]] if node.inputs and node.inputs[0] >= 0 else None
            tensors = list(graph.tensors)
            run_time = [t for t in node.inputs[1:] if t >= 0 and graph.tensors[t].data is None]
            for t in (*run_time, *node.outputs):
                if x is not None and tensors[t].quant is not None and tensors[t].dtype == x.dtype:
                    tensors[t] = replace(tensors[t], quant=x.quant)
            model = self.model.with_graph(graph.with_(tensors=tuple(tensors)))
            alike = Functions.__new__(Functions)
            alike._take(model)
            self._copied[index] = None if alike.missing(index) else alike
        found = self._copied[index]
        return None if found is None or not values else found.node(index, values)

    def is_approximate(self, index: int) -> bool:
        """Whether node `index` has no kernels here, so that its numbers may be a step off."""
        if not self.missing(index):
            return False
        if index not in self._copied:
            self._as_copied(index, {})
        return self._copied[index] is None

    def _in_real(self, index: int, values: Values) -> list[Array] | None:
        """Node `index` in float32, rounded to the grid of its outputs; None where it has no
        meaning in float.
        """
        from thimble.explain.judge import Judge

        if self._real is None:
            self._real = Judge(self.model, {})
        tensors = self.graph.tensors
        given = {}
        for t, array in values.items():
            held = self._real.graph.tensors[t]
            is_real = held.dtype == "float32"
            given[t] = real(array, tensors[t]).astype(np.float32) if is_real else array
        found = self._real.layer(index, given)
        if found is None:
            return None
        outputs = self.graph.nodes[index].outputs
        plain = [self._real.graph.tensors[t] for t in outputs]
        return [as_tensor(y, x, tensors[t]) for y, x, t in zip(found, plain, outputs)]

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """As the reference runner's. Raises UnsupportedModel at the first layer without kernels."""
        values: Values = {**self.constants, **dict(zip(self.graph.inputs, inputs))}
        names = [t.name for t in self.graph.tensors]
        rows: list[tuple[int, str, str, tuple[str, ...]]] = []
        tensors: dict[str, Array] = {}
        for i, node in enumerate(self.graph.nodes):
            outputs = self.layer(i, values)
            if outputs is None:
                raise UnsupportedModel(unsupported(self.model))
            values.update(zip(node.outputs, outputs))
            tensors.update(zip((names[t] for t in node.outputs), outputs))
            made = tuple(names[t] for t in node.outputs)
            rows.append((i, node.op.name, self.graph.layer_name(i), made))
        shown = {names[t]: values[t] for t in self.graph.outputs}
        return Trace(shown, tensors, tuple(rows), "reference", {})

    def tensor(self, index: int, known: Mapping[int, Array], memo: Values) -> Array | None:
        """Tensor `index` from the nearest tensors of `known` upstream, never from itself."""
        if index in memo:
            return memo[index]
        if index not in self.producers:
            return known.get(index, self.constants.get(index))
        values: Values = {}
        for t in self.graph.nodes[self.producers[index]].inputs:
            if t < 0 or t in self.constants:
                continue
            found = known[t] if t in known else self.tensor(t, known, memo)
            if found is None:
                return None
            values[t] = found
        outputs = self.layer(self.producers[index], values)
        if outputs is None:
            return None
        memo.update(zip(self.graph.nodes[self.producers[index]].outputs, outputs))
        return memo[index]

    def region(self, index: int, known: set[int]) -> list[int]:
        """The nodes that make tensor `index` from the nearest tensors of `known`, in order."""
        nodes: set[int] = set()
        waiting = [index]
        while waiting:
            t = waiting.pop()
            if t not in self.producers or self.producers[t] in nodes:
                continue
            nodes.add(self.producers[t])
            inputs = self.graph.nodes[self.producers[t]].inputs
            waiting += [i for i in inputs if i >= 0 and i not in known]
        return sorted(nodes)
