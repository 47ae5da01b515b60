"""`reference`: the Graph, node by node, as the file has it: no passes, no plan, no arena.

Float nodes run the op's `real`; integer nodes run the twins that their own lowering names, each on
fresh memory. This is the definition that everything else is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from thimble.errors import UnsupportedModel
from thimble.graph import Graph, Model
from thimble.lower import lower, unsupported
from thimble.memory import place
from thimble.ops.contract import NodeView
from thimble.runners.program import ProgramRunner
from thimble.trace import Trace

Array = np.ndarray


def single_node(graph: Graph, index: int) -> tuple[Graph, list[int]]:
    """A graph of node `index` alone, and the tensors of `graph` that are its inputs."""
    node = graph.nodes[index]
    runtime = [t for t in dict.fromkeys(node.inputs) if t >= 0 and graph.tensors[t].data is None]
    alone = graph.with_(nodes=(node,), inputs=tuple(runtime), outputs=tuple(node.outputs))
    return alone, runtime


def is_float(view: NodeView) -> bool:
    """Whether the node computes in float32 throughout, so that `real` is its meaning."""
    data = [t for t in (*view.inputs[:1], *view.outputs) if t is not None]
    return all(t.dtype == "float32" for t in data)


class ReferenceRunner:
    """Runs the main graph of `model`. Raises UnsupportedModel naming every layer without
    kernels.
    """

    def __init__(self, model: Model):
        if findings := unsupported(model):
            raise UnsupportedModel(findings)
        self.model = model
        self._runners: dict[int, tuple[ProgramRunner, list[int]]] = {}

    def node(self, index: int, values: dict[int, Array]) -> list[Array]:
        """Outputs of node `index`, its inputs taken from `values` by tensor index."""
        graph = self.model.graph
        node = graph.nodes[index]
        view = NodeView(graph, index)
        if is_float(view):
            given = [values.get(t) if t >= 0 else None for t in node.inputs]
            results = node.op.real(*given)
            return [
                np.asarray(r, np.float32).reshape(graph.tensors[t].shape)
                for r, t in zip(results, node.outputs)
            ]
        if index not in self._runners:
            alone, runtime = single_node(graph, index)
            program = lower(replace(self.model, graphs=(alone,)))
            self._runners[index] = (ProgramRunner(program, place(program, "greedy")), runtime)
        runner, runtime = self._runners[index]
        return runner.run([values[t] for t in runtime])

    def evaluate(self, inputs: Sequence[Array]) -> dict[int, Array]:
        """Every tensor of the graph by index."""
        graph = self.model.graph
        values: dict[int, Array] = {
            i: t.data for i, t in enumerate(graph.tensors) if t.data is not None
        }
        values.update(zip(graph.inputs, inputs))
        for i, node in enumerate(graph.nodes):
            values.update(zip(node.outputs, self.node(i, values)))
        return values

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs for `inputs` (in the model's order, dtype and shape)."""
        values = self.evaluate(inputs)
        return [values[t] for t in self.model.graph.outputs]

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and every layer's outputs, by tensor name."""
        graph = self.model.graph
        values = self.evaluate(inputs)
        names = [t.name for t in graph.tensors]
        rows = tuple(
            (i, node.op.name, graph.layer_name(i), tuple(names[t] for t in node.outputs))
            for i, node in enumerate(graph.nodes)
        )
        tensors = {names[t]: values[t] for node in graph.nodes for t in node.outputs}
        outputs = {names[t]: values[t] for t in graph.outputs}
        return Trace(outputs, tensors, rows, "reference", {})
