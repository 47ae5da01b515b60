"""DEPTHWISE_CONV_2D as CONV_2D, with as many groups as channels.

x [N, H, W, C] -> DEPTHWISE_CONV_2D w [1, FH, FW, O] -> y    ->    x -> CONV_2D w [O, FH, FW, 1]
"""

from __future__ import annotations

from thimble.graph import Graph
from thimble.passes.convolution_form import as_convolution, change_forms
from thimble.repair.contract import Repair, on_graphs


def convolution_form(graph: Graph) -> Graph:
    """The same graph with CONV_2D for every DEPTHWISE_CONV_2D."""
    return change_forms(graph, {"DEPTHWISE_CONV_2D": as_convolution})


REPAIR = Repair(
    "convolution-form",
    "A converter has made DEPTHWISE_CONV_2D of a convolution: it becomes CONV_2D (with groups, op"
    " version 6, where the input has several channels).",
    on_graphs(convolution_form),
    by_name=True,
)
