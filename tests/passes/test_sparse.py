"""Sparse constants: decoding undoes an encoder written from the format's description."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from thimble.graph import Tensor
from thimble.passes.sparse import densify


def encode(dense: np.ndarray, order: list[int], blocks: dict[int, int], csr: list[bool]) -> Tensor:
    """`dense` with levels in `order`; `blocks` dimension -> block size; `csr` per level."""
    rank = dense.ndim
    blocked = sorted(blocks)
    shape = [s // blocks.get(d, 1) for d, s in enumerate(dense.shape)]
    split: list[int] = []
    for d, size in enumerate(dense.shape):
        split += [size // blocks[d], blocks[d]] if d in blocks else [size]
    outer = [d + sum(1 for b in blocked if b < d) for d in range(rank)]
    inner = [outer[d] + 1 for d in blocked]
    full = dense.reshape(split).transpose([*outer, *inner]).transpose(order)
    sizes = [*shape, *(blocks[d] for d in blocked)]
    nodes: list[tuple[int, ...]] = [()]
    levels: list[dict[str, Any]] = []
    for level, dimension in enumerate(order):
        size = sizes[dimension]
        children = [
            [i for i in range(size) if not csr[level] or np.any(full[(*node, i)])] for node in nodes
        ]
        if csr[level]:
            segments = np.cumsum([0, *map(len, children)])
            indices = np.array([i for own in children for i in own], np.int32)
            levels.append(
                {
                    "format": "SPARSE_CSR",
                    "dense_size": size,
                    "array_segments": ("Int32Vector", {"values": segments.astype(np.int32)}),
                    "array_indices": ("Int32Vector", {"values": indices}),
                }
            )
        else:
            levels.append(
                {
                    "format": "DENSE",
                    "dense_size": size,
                    "array_segments": None,
                    "array_indices": None,
                }
            )
        nodes = [(*node, i) for node, own in zip(nodes, children) for i in own]
    data = np.array([full[node] for node in nodes], dense.dtype)
    sparsity = {
        "traversal_order": np.array(order, np.int32),
        "block_map": np.array(blocked, np.int32),
        "dim_metadata": tuple(levels),
    }
    raw = data.view(np.uint8)
    return Tensor("w", dense.shape, str(dense.dtype), data=raw, extra={"sparsity": sparsity})


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_densify_undoes_the_encoding(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 4))
    blocks = {d: data.draw(st.integers(2, 4)) for d in range(rank) if data.draw(st.booleans())}
    shape = [data.draw(st.integers(1, 4)) * blocks.get(d, 1) for d in range(rank)]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dense = rng.normal(size=shape).astype(data.draw(st.sampled_from(["float32", "float16"])))
    dense[rng.random(shape) < data.draw(st.sampled_from([0.0, 0.7, 1.0]))] = 0
    order = [
        *data.draw(st.permutations(range(rank))),
        *range(rank, rank + len(blocks)),
    ]
    csr = [data.draw(st.booleans()) for _ in order]
    tensor = encode(dense, order, blocks, csr)
    decoded = densify(tensor)
    assert decoded is not None
    np.testing.assert_array_equal(decoded, dense)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damaged_sparsity_is_refused_or_decoded(seed: int) -> None:
    """Any number in the description may be wrong: never an exception, never another shape."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((4, 6)) > 0.5).astype(np.float32)
    tensor = encode(dense, [0, 1], {}, [False, True])
    sparsity = dict(tensor.extra["sparsity"])
    level = dict(sparsity["dim_metadata"][1])
    target = rng.choice(
        ["array_segments", "array_indices", "traversal_order", "dense_size", "data"]
    )
    raw = tensor.data
    if target == "data":
        raw = raw[: rng.integers(0, len(raw))] if raw is not None else None
    elif target == "traversal_order":
        sparsity["traversal_order"] = rng.integers(-2, 3, 2)
    elif target == "dense_size":
        sparsity["dim_metadata"] = (
            {**sparsity["dim_metadata"][0], "dense_size": int(rng.integers(-3, 9))},
            level,
        )
    else:
        vector = level[target][1]["values"].copy()
        if len(vector):
            vector[rng.integers(len(vector))] = rng.integers(-9, 9)
        level[target] = ("Int32Vector", {"values": vector})
        sparsity["dim_metadata"] = (sparsity["dim_metadata"][0], level)
    damaged = Tensor("w", (4, 6), "float32", data=raw, extra={"sparsity": sparsity})
    decoded = densify(damaged)
    assert decoded is None or decoded.shape == (4, 6)
