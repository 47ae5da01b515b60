"""A convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND becomes a dilated convolution.

x -> SPACE_TO_BATCH_ND (block b) -> CONV_2D -> BATCH_TO_SPACE_ND (b) -> y
->  x -> CONV_2D (dilation b) -> y
"""

from __future__ import annotations

from thimble.graph import Graph, Model
from thimble.passes.dilate import dilate
from thimble.passes.static_shapes import static_shapes
from thimble.repair.contract import Place, Repair, changed_layers, on_entries


def dilated_convolution(graph: Graph) -> Graph:
    """The same graph with dilated convolutions; its batch is 1, since the pattern moves it."""
    fixed = static_shapes(graph)
    dilated = dilate(fixed)
    return graph if dilated is fixed else dilated


_PATTERN = ("SPACE_TO_BATCH_ND", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_TO_SPACE_ND")


def _where(before: Model, after: Model) -> list[Place]:
    gone = changed_layers(before, after)
    return [(g, node) for g, node in gone if node.op.name in _PATTERN]


REPAIR = Repair(
    "dilated-convolution",
    "A dilated convolution written as SPACE_TO_BATCH_ND, CONV_2D or DEPTHWISE_CONV_2D and"
    " BATCH_TO_SPACE_ND, which TensorFlow Lite Micro pads with 0 instead of the zero point in int8,"
    " becomes one layer with a dilation.",
    on_entries(dilated_convolution),
    where=_where,
)
