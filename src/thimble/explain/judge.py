"""A's layers in real arithmetic, for tensors that A and B keep on different grids.

Where B's tensor has another scale (or int8 where A has float32), feeding A's integer layer with
B's values would round them first. The judge computes the layer in float32 from the real values
of B's inputs; what is then left of the difference should be below one step of B's output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from thimble.explain.functions import Functions
from thimble.explain.values import QUANTIZED, constant
from thimble.graph import Graph, Model, Tensor
from thimble.support import runnable

Array = np.ndarray


def _real_tensor(tensor: Tensor, data: Mapping[str, Array]) -> Tensor:
    """`tensor` as float32: constants dequantized (or as `data` gives them), no quantization."""
    if tensor.data is None:
        is_real = tensor.quant is not None and tensor.dtype in QUANTIZED
        return replace(tensor, dtype="float32" if is_real else tensor.dtype, quant=None)
    if tensor.name in data:
        return replace(tensor, dtype="float32", quant=None, data=data[tensor.name])
    scaled = tensor.quant is not None and len(tensor.quant.scale) > 0
    if not scaled or tensor.dtype == "float32":
        return tensor
    return replace(tensor, dtype="float32", quant=None, data=constant(tensor)[0].astype(np.float32))


class Judge(Functions):
    """`model` in float32: quantized tensors hold real values, QUANTIZE and DEQUANTIZE copy.

    `data` replaces constants by name: the other side's, where they differ by rounding alone.
    """

    def __init__(self, model: Model, data: Mapping[str, Array]):
        model = runnable(model)
        graph: Graph = model.graph
        tensors = tuple(_real_tensor(t, data) for t in graph.tensors)
        super().__init__(model)
        self.model = model.with_graph(graph.with_(tensors=tensors))
        self.graph = self.model.graph
        self.constants = {i: t.data for i, t in enumerate(tensors) if t.data is not None}

    def missing(self, index: int) -> str:
        """Real arithmetic has no limits of kernels; what fails says so in `node`."""
        return ""

    def node(self, index: int, values: dict[int, Array]) -> list[Array]:
        """Outputs of node `index` by the op's `real`."""
        node = self.graph.nodes[index]
        given = [values.get(t) if t >= 0 else None for t in node.inputs]
        if node.op.name in ("QUANTIZE", "DEQUANTIZE"):
            assert given[0] is not None
            return [np.asarray(given[0], np.float32)]
        results = node.op.real(*given)
        return [
            np.asarray(r).reshape(self.graph.tensors[t].shape)
            for r, t in zip(results, node.outputs)
        ]

    def layer(self, index: int, values: Mapping[int, Array]) -> list[Array] | None:
        """As `Functions.layer`; None also where the op has no real meaning for its inputs."""
        try:
            return super().layer(index, values)
        except (NotImplementedError, ValueError, TypeError, AttributeError, IndexError):
            return None
