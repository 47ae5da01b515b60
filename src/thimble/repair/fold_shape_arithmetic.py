"""Shapes that the model computes at run time become constants.

x -> SHAPE -> STRIDED_SLICE -> PACK -> RESHAPE -> y    ->    x -> RESHAPE ([1, 4000]) -> y
"""

from __future__ import annotations

from thimble.graph import Graph, Node
from thimble.passes.dead_code import dead_code
from thimble.passes.fold_constants import fold_constants
from thimble.passes.static_shapes import static_shapes
from thimble.repair.contract import Repair, on_entries

_WHOLE_NUMBERS = ("int32", "int64", "uint32", "bool")


def _is_arithmetic(graph: Graph, node: Node) -> bool:
    """Whether a node makes whole numbers that no scale turns into reals."""
    made = [graph.tensors[t] for t in node.outputs if t >= 0]
    return bool(made) and all(t.dtype in _WHOLE_NUMBERS and t.quant is None for t in made)


def fold_shape_arithmetic(graph: Graph) -> Graph:
    """The same graph, its batch 1, without the layers that only compute shapes."""
    folded = fold_constants(static_shapes(graph), _is_arithmetic)
    return graph if len(folded.nodes) == len(graph.nodes) else dead_code(folded)


REPAIR = Repair(
    "fold-shape-arithmetic",
    "Exporters compute the shapes of a dynamic batch at run time (SHAPE, STRIDED_SLICE, PACK);"
    " some runtimes lack these ops: the shapes become constants.",
    on_entries(fold_shape_arithmetic),
)
