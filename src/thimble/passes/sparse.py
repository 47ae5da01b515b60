"""TFLite's sparse constants as dense arrays.

The format stores a tensor [d0, d1, ...], optionally cut into blocks, as a tree: level k walks
dimension traversal_order[k]; a DENSE level has all its positions, a SPARSE_CSR level the positions
array_indices[array_segments[i] : array_segments[i + 1]] below node i of the level before. Levels
beyond the rank walk inside the blocks of dimension block_map[...].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from thimble.graph import ITEM_BITS, Tensor

Array = np.ndarray


def _indices(vector: Any) -> Array:
    return np.asarray(vector[1]["values"], np.int64)


def _level(level: Mapping[str, Any], parents: int, most: int) -> tuple[Array, Array] | None:
    """For each of at most `most` nodes of a level: its parent, its position in the dimension."""
    if level["format"] == "DENSE":
        size = int(level["dense_size"])
        if not 0 <= size * parents <= most:
            return None
        return np.repeat(np.arange(parents), size), np.tile(np.arange(size), parents)
    if level["array_segments"] is None or level["array_indices"] is None:
        return None
    segments, positions = _indices(level["array_segments"]), _indices(level["array_indices"])
    counts = np.diff(segments)
    if len(counts) != parents or (counts < 0).any() or counts.sum() != len(positions):
        return None
    if len(positions) > most:
        return None
    return np.repeat(np.arange(parents), counts), positions


def densify(tensor: Tensor) -> Array | None:
    """The values of a constant with `sparsity` as an array of its shape; None if damaged."""
    sparsity = tensor.extra["sparsity"]
    if tensor.data is None or tensor.dtype not in ("float32", "float16", "int8", "uint8"):
        return None
    shape = tensor.shape
    order = [int(d) for d in sparsity["traversal_order"]]
    blocks = [int(d) for d in sparsity["block_map"]]
    levels = sparsity["dim_metadata"]
    rank = len(shape)
    valid = sorted(order) == list(range(rank + len(blocks))) and len(levels) == len(order)
    if not valid or any(not 0 <= d < rank for d in blocks) or tensor.elements > 1 << 28:
        return None
    sizes = [0] * len(order)
    paths: list[Array] = [np.zeros(1, np.int64)] * len(order)
    nodes = 1
    for k, dimension in enumerate(order):
        found = _level(levels[k], nodes, tensor.elements)
        if found is None:
            return None
        parents, positions = found
        paths = [path[parents] if j < k else path for j, path in enumerate(paths)]
        paths[k] = positions
        sizes[dimension] = int(levels[k]["dense_size"])
        nodes = len(positions)
    where = {dimension: paths[k] for k, dimension in enumerate(order)}
    index = [where[d] for d in range(rank)]
    for j, d in enumerate(blocks):
        index[d] = index[d] * sizes[rank + j] + where[rank + j]
    if any(len(i) and (i.min() < 0 or i.max() >= size) for i, size in zip(index, shape)):
        return None
    dtype = np.dtype(tensor.dtype)
    if tensor.data.nbytes != nodes * ITEM_BITS[tensor.dtype] // 8:
        return None
    dense = np.zeros(shape, dtype)
    dense[tuple(index)] = tensor.data.reshape(-1).view(np.uint8).view(dtype)
    return dense
