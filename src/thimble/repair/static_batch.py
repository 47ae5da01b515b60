"""The batch is 1, and every shape in the file is the one that its layer computes.

x [1, 68, 8] (signature [-1, 68, 8]) -> SPACE_TO_BATCH_ND (block 2) -> y [1, 34, 8]
->  x [1, 68, 8] -> SPACE_TO_BATCH_ND (block 2) -> y [2, 34, 8]
"""

from __future__ import annotations

from thimble.graph import Model
from thimble.passes.static_shapes import static_shapes
from thimble.repair.contract import Place, Repair, changed_layers, on_entries


def _where(before: Model, after: Model) -> list[Place]:
    """The layers whose shapes were wrong; then the inputs whose batch was dynamic."""
    dynamic = [
        f"input `{tensor.name}` {list(tensor.shape_signature)}"
        for tensor in (before.graph.tensors[t] for t in before.graph.inputs)
        if tensor.shape_signature is not None and -1 in tensor.shape_signature
    ]
    return [*changed_layers(before, after), *dynamic]


REPAIR = Repair(
    "static-batch",
    "A file with a dynamic batch holds shapes that are wrong wherever a layer changes the batch"
    " (SPACE_TO_BATCH_ND), and TensorFlow Lite Micro believes them: the batch becomes 1, and every"
    " shape what its layer computes.",
    on_entries(static_shapes),
    where=_where,
)
