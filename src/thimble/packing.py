"""Weights in the order in which a tile reads them: `[outputs / B][segments][length / K][B][K]`.

B outputs by K products form a block; rows of weights beyond the last output and products beyond
the end of a segment are zero. Any B and K are legal; which are fast is the arch layer's matter
(`arch.py`).
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def pack(w: Array, oc_block: int, k_block: int) -> Array:
    """w [outputs, segments, length] -> flat packed array of the same dtype."""
    outputs, segments, length = w.shape
    blocks, chunks = -(-outputs // oc_block), -(-length // k_block)
    padded = np.zeros((blocks * oc_block, segments, chunks * k_block), w.dtype)
    padded[:outputs, :, :length] = w
    cut = padded.reshape(blocks, oc_block, segments, chunks, k_block)
    return np.ascontiguousarray(cut.transpose(0, 2, 3, 1, 4)).reshape(-1)


def unpack(
    packed: Array, outputs: int, segments: int, length: int, oc_block: int, k_block: int
) -> Array:
    """The inverse: flat packed array -> w [outputs, segments, length]."""
    blocks, chunks = -(-outputs // oc_block), -(-length // k_block)
    size = blocks * segments * chunks * oc_block * k_block
    cut = packed[:size].reshape(blocks, segments, chunks, oc_block, k_block)
    whole = cut.transpose(0, 3, 1, 2, 4).reshape(blocks * oc_block, segments, chunks * k_block)
    return whole[:outputs, :, :length]
