"""Constants that float layers store small (float16, int8 of hybrid layers, sparse) become float32.

x float32, w int8 (constant) -> CONV_2D (hybrid)    ->    x, w float32 -> CONV_2D
"""

from __future__ import annotations

from thimble.passes.fold_float_weights import fold_float_weights
from thimble.repair.contract import Repair, on_graphs

REPAIR = Repair(
    "float-weights",
    "TensorFlow Lite Micro has no kernels for float layers whose weights are stored as int8"
    " (hybrid), float16 or sparse: the weights become float32 constants. LiteRT's hybrid kernels"
    " also round the activations, which is left out.",
    on_graphs(fold_float_weights),
    by_name=True,
)
