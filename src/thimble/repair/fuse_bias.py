"""The constant that is added behind a float convolution becomes its bias.

x -> CONV_2D (bias 0) -> a -> ADD (b [O]) -> y    ->    x -> CONV_2D (bias b) -> y
"""

from __future__ import annotations

from thimble.graph import Graph
from thimble.passes.dead_code import dead_code
from thimble.passes.fuse_bias import fuse_bias as fuse
from thimble.repair.contract import Repair, on_graphs


def fuse_bias(graph: Graph) -> Graph:
    """The same graph with such additions in the biases."""
    fused = fuse(graph)
    return graph if fused is graph else dead_code(fused)


REPAIR = Repair(
    "fuse-bias",
    "Exporters add the bias behind BATCH_TO_SPACE_ND with an ADD of its own: it becomes the bias of"
    " the float layer before.",
    on_graphs(fuse_bias),
)
