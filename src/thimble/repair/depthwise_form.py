"""CONV_2D whose filters see one channel each, as DEPTHWISE_CONV_2D.

x [N, H, W, C] -> CONV_2D w [O, FH, FW, 1] -> y    ->    x -> DEPTHWISE_CONV_2D w [1, FH, FW, O]
"""

from __future__ import annotations

from thimble.graph import Graph
from thimble.passes.convolution_form import as_depthwise, change_forms
from thimble.repair.contract import Repair, on_graphs


def depthwise_form(graph: Graph) -> Graph:
    """The same graph with DEPTHWISE_CONV_2D for every convolution of one channel at a time."""
    return change_forms(graph, {"CONV_2D": as_depthwise})


REPAIR = Repair(
    "depthwise-form",
    "A converter has made CONV_2D of a convolution of one channel, or of groups of one: it becomes"
    " DEPTHWISE_CONV_2D, which some runtimes and accelerators ask for.",
    on_graphs(depthwise_form),
    by_name=True,
)
