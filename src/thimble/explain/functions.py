"""A model's layers as functions: what layer i makes of inputs that somebody else computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from thimble.graph import Model
from thimble.lower import unsupported
from thimble.runners.reference import ReferenceRunner, single_node
from thimble.support import runnable

Array = np.ndarray
Values = dict[int, Array]


class Functions(ReferenceRunner):
    """The layers of `model` by the reference kernels; a layer without kernels is None, not an
    error. `names` maps tensor names to indices of `model.graph`.
    """

    def __init__(self, model: Model):
        self.model = runnable(model)
        self._runners = {}
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
        if self.missing(index) or any(t >= 0 and t not in given for t in node.inputs):
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
        return self.node(index, {**self.constants, **shaped})

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
