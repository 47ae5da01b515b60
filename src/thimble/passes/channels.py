"""What is known of every channel of an int8 graph before it runs: `shrink` decides from it.

A channel is one index of the last axis of an int8 tensor. Of each we know
  low, high  bounds of its value at any position and for any input; equal ones make it a constant
  same       a number that two channels of a tensor share where all their values are equal
  pinned     it has to stay: an input or output of the graph, or of an op not known here
and which channels of other tensors can only go together with it (`pairs`): those that an op hands
through, as the input and the output of a DEPTHWISE_CONV_2D. CONV_2D and FULLY_CONNECTED mix all
channels of their input: they are `layers`, which can do without one that adds nothing, or always
the same.

Bounds are interval arithmetic on the very integers of the kernels, whose requantization is
monotone: an int32 accumulator between two others is requantized to between their results.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.graph import Graph, Tensor

Array = np.ndarray
MOST_CHANNELS = 1 << 20  # of a tensor that is looked into: far above any real model


@dataclass(frozen=True, eq=False)
class Layer:
    """A node that sums over all channels of its input, at several taps.

    weights [O, K taps, C] int16 less their zero point w_zero; taken [U, K]: which taps lie inside
    the image, for each of U kinds of output position; bias [O].
    """

    node: int
    x: int
    y: int
    weights: Array
    taken: Array
    bias: Array
    x_zero: int
    w_zero: int


class Channels:
    """The facts about all channels of `graph`; channel c of tensor t is slot `base[t] + c`."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.low: dict[int, Array] = {}
        self.high: dict[int, Array] = {}
        self.same: dict[int, Array] = {}
        self.base: dict[int, int] = {}
        self.layers: list[Layer] = []
        self.pairs: list[tuple[Array, Array]] = []
        self.slots = 0
        for t, tensor in enumerate(graph.tensors):
            if _has_channels(tensor):
                self.base[t] = self.slots
                self.slots += self.count(t)
        self.pinned = np.zeros(self.slots, bool)
        for t in (*graph.inputs, *graph.outputs):
            self.pin(t)
        for t in self.base:
            self.put(t, np.full(self.count(t), -128), np.full(self.count(t), 127))

    def count(self, t: int) -> int:
        """Channels of tensor t; 1 of a scalar."""
        shape = self.graph.tensors[t].shape
        return shape[-1] if shape else 1

    def at(self, t: int) -> slice:
        """The slots of tensor t."""
        return slice(self.base[t], self.base[t] + self.count(t))

    def is_fixed(self, t: int) -> Array:
        """Which channels of t have one value, at every position and for every input."""
        return self.low[t] == self.high[t]

    def pin(self, t: int) -> None:
        """Keep all channels of t, if it has any."""
        if t in self.base:
            self.pinned[self.at(t)] = True

    def put(self, t: int, low: Array, high: Array, keys: Array | None = None) -> None:
        """Bounds of t's channels, and a row of `keys` for each: equal rows mean equal values."""
        self.low[t], self.high[t] = low.astype(np.int64), high.astype(np.int64)
        if keys is None:
            same = np.arange(len(low))
        else:
            seen: dict[bytes, int] = {}
            rows = np.ascontiguousarray(keys, np.int64)
            same = np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])
        self.same[t] = np.where(self.is_fixed(t), self.low[t] - 1000, same)

    def couple(self, a: int, b: int, of_a: Array | None = None, of_b: Array | None = None) -> None:
        """Channels `of_a` of tensor a go only with channels `of_b` of b (None: all, in order)."""
        left = self.base[a] + (np.arange(self.count(a)) if of_a is None else of_a)
        right = self.base[b] + (np.arange(self.count(b)) if of_b is None else of_b)
        self.pairs.append((left, right))

    def know_constant(self, t: int) -> None:
        """Bounds of the values of tensor t, where it is a constant with channels."""
        if t in self.base and (data := self.graph.tensors[t].data) is not None:
            columns = data.reshape(-1, self.count(t)).astype(np.int64)
            self.put(t, columns.min(axis=0), columns.max(axis=0), columns.T)

    def classes(self) -> Array:
        """[slots] the lowest slot of those that a slot goes together with."""
        root = np.arange(self.slots)
        if not self.pairs:
            return root
        left = np.concatenate([a for a, _ in self.pairs])
        right = np.concatenate([b for _, b in self.pairs])
        while True:
            a, b = root[left], root[right]
            if np.array_equal(a, b):
                return root
            np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
            while not np.array_equal(root, root[root]):
                root = root[root]


def _has_channels(tensor: Tensor) -> bool:
    return (
        tensor.dtype == "int8"
        and min(tensor.shape, default=1) >= 1
        and (not tensor.shape or tensor.shape[-1] <= MOST_CHANNELS)
        and not tensor.is_variable
        and "sparsity" not in tensor.extra
        and (tensor.quant is None or tensor.quant.details is None)
        and (tensor.data is None or tensor.data.size == tensor.elements)
    )
