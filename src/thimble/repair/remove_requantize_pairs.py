"""DEQUANTIZE followed by QUANTIZE with the same parameters is nothing at all.

q -> DEQUANTIZE -> f -> QUANTIZE (same scale and zero point) -> r    ->    q (and r is q)
q -> QUANTIZE (same scale and zero point) -> r                       ->    q (and r is q)
"""

from __future__ import annotations

from thimble.graph import Graph, Model
from thimble.passes.dead_code import dead_code
from thimble.passes.remove_identity import remove_identity
from thimble.repair.contract import Place, Repair, changed_layers, on_graphs


def remove_requantize_pairs(graph: Graph) -> Graph:
    """The same graph without pairs that keep every bit."""
    less = remove_identity(graph, ("QUANTIZE",))
    return graph if less is graph else dead_code(less)


def _where(before: Model, after: Model) -> list[Place]:
    gone = changed_layers(before, after)
    return [(g, node) for g, node in gone if node.op.name in ("DEQUANTIZE", "QUANTIZE")]


REPAIR = Repair(
    "remove-requantize-pairs",
    "A tensor is dequantized and quantized again with the same scale and zero point: both layers"
    " go.",
    on_graphs(remove_requantize_pairs),
    where=_where,
)
