"""Leave out the channels that change nothing: fewer weights and multiplications, the same outputs.

    x -> CONV_2D [8 outputs, 3 of them constant] -> DEPTHWISE_CONV_2D -> CONV_2D -> y
    ->  x -> CONV_2D [5] -> DEPTHWISE_CONV_2D [5] -> CONV_2D (constants in its bias) -> y

A channel of an int8 graph goes, with all those that can only go with it, where every layer that
mixes channels can do without it:
  - the layer's weights for it are zero;
  - it is constant, by interval arithmetic over all int8 inputs, and its weighted sum is the same
    at every position of the output: that goes into the bias. At the borders of a padded
    convolution taps are missing, which only a constant equal to the zero point does not notice;
  - it always equals another channel, to whose weights its own can be added within [-127, 127].
Outputs keep every bit, in every runtime whose integers are TFLite's. Float graphs are left alone:
leaving out a term may change how sums are rounded. A layer keeps one channel at least, and of an
image's channels as many idle ones, with zero weights, as make their number a multiple of 4.
"""

from __future__ import annotations

import numpy as np

from thimble.graph import Graph
from thimble.ops.contract import NodeView
from thimble.ops.unary import Unary
from thimble.passes.channels import Channels, Layer
from thimble.passes.channels_handed import HANDED, unary
from thimble.passes.channels_weighted import WEIGHTED
from thimble.passes.cut import Decision, cut
from thimble.passes.match import has_kernel

Array = np.ndarray
# The kernels take 2 or 4 channels at a time. Of 1, 2, 4, 8 and 16, 4 came out best: on Cortex-M55
# person_detect takes 2.43 M instructions, and 2.91 M with 7 channels in place of 8; on Cortex-M0
# and M4 it saves 1 KB of code, at the same instructions within 0.1 %.
MULTIPLE = 4
MOST_WEIGHT = 127  # -128 is no weight of TFLite's specification


def known(graph: Graph) -> Channels:
    """The facts about every channel of `graph`; those of ops without a room here are pinned."""
    c = Channels(graph)
    seen = {t for node in graph.nodes for t in (*node.inputs, *node.outputs)}
    for t in c.base.keys() - seen:
        c.pin(t)
    for i, node in enumerate(graph.nodes):
        tensors = [t for t in (*node.inputs, *node.outputs) if t in c.base]
        if not tensors:
            continue
        name = node.op.name
        room = unary if isinstance(node.op, Unary) else HANDED.get(name) or WEIGHTED.get(name)
        if room is not None and has_kernel(graph, node):
            for t in node.inputs[: 1 if name in WEIGHTED else None]:
                c.know_constant(t)
            has_channels = node.inputs[0] in c.base and node.outputs[0] in c.base
            if has_channels and room(c, NodeView(graph, i)):
                continue
        for t in tensors:
            c.pin(t)
    return c


def absorbed(c: Channels, layer: Layer, gone: Array) -> Array:
    """[C] channels of the layer's input without which it can do."""
    weights = layer.weights[~gone[c.at(layer.y)]]
    unused = ~weights.any(axis=(0, 1))
    offset = c.low[layer.x] - layer.x_zero
    fixed = c.is_fixed(layer.x)
    candidates = np.flatnonzero(fixed & ~unused & (offset != 0))
    sums = _sums(layer, weights[:, :, candidates])
    # Few enough that the bias holds all of them together, whichever go.
    most = np.abs(sums * offset[candidates]).max(axis=0, initial=0).sum(axis=1)
    bias = np.abs(layer.bias[~gone[c.at(layer.y)]])
    if not (most + bias < 2**31).all():
        return np.asarray(unused | (fixed & (offset == 0)))
    can = unused | fixed
    can[candidates[(sums != sums[:1]).any(axis=(0, 1))]] = False
    return can


def _sums(layer: Layer, weights: Array) -> Array:
    """[U, O, C] sums of weights [O, K, C] over the taps taken at each kind of position."""
    out, taps, channels = weights.shape
    flat = weights.transpose(1, 0, 2).reshape(taps, -1).astype(np.float64)
    sums = layer.taken.astype(np.float64) @ flat
    return sums.reshape(len(layer.taken), out, channels).astype(np.int64)


def _without_unneeded(c: Channels, roots: Array, stays: Array) -> Array:
    """[slots] the largest set that can go. `stays` [slots]: roots of what cannot; is extended."""
    gone = np.zeros(c.slots, bool)
    while True:
        needed = stays.copy()
        for layer in c.layers:
            slots = np.arange(c.slots)[c.at(layer.x)]
            needed[roots[slots[~absorbed(c, layer, gone)]]] = True
        now = ~needed[roots]
        emptied = [t for t in c.base if now[c.at(t)].all()]
        if emptied:
            for t in emptied:
                slots = np.arange(c.slots)[c.at(t)]
                stays[roots[slots[~gone[slots]][0]]] = True
        elif np.array_equal(now, gone):
            return gone
        else:
            gone = now


class _Merging:
    """Lets channels that equal others go, by adding their weights to those of the others."""

    def __init__(self, c: Channels, roots: Array, stays: Array, decision: Decision):
        self.c, self.roots, self.stays, self.decision = c, roots, stays, decision
        self.readers: dict[int, list[Layer]] = {}
        for layer in c.layers:
            self.readers.setdefault(layer.x, []).append(layer)
        order = np.argsort(roots, kind="stable")
        starts = np.flatnonzero(np.diff(roots[order], prepend=-1))
        self.members = {int(roots[part[0]]): part for part in np.split(order, starts[1:])}
        self.owners = np.zeros(c.slots, np.int64)
        for t in c.base:
            self.owners[c.at(t)] = t

    def run(self) -> None:
        """Try every channel that has an equal before it."""
        gone = self.decision.gone
        for t in self.readers:
            first: dict[int, int] = {}
            for channel, same in enumerate(self.c.same[t]):
                slot = self.c.base[t] + channel
                if not gone[slot] and first.setdefault(int(same), channel) != channel:
                    self._try(int(self.roots[slot]))

    def _try(self, root: int) -> None:
        c, gone = self.c, self.decision.gone
        members = self.members[root]
        if self.stays[root] or gone[members].any():
            return
        columns: dict[tuple[int, int], Array] = {}
        for slot in members:
            t = int(self.owners[slot])
            channel = int(slot - c.base[t])
            if t in self.readers and not self._give(t, channel, members, columns):
                return
        for t in {int(t) for t in self.owners[members]}:
            if np.isin(np.flatnonzero(~gone[c.at(t)]) + c.base[t], members).all():
                return
        gone[members] = True
        self.decision.merged[members] = True
        for (node, channel), column in columns.items():
            self.decision.weights[node][:, :, channel] = column

    def _give(
        self, t: int, channel: int, members: Array, columns: dict[tuple[int, int], Array]
    ) -> bool:
        """Add the weights for `channel` to those of an equal one that stays; False if none can."""
        c = self.c
        equal = np.flatnonzero(c.same[t] == c.same[t][channel])
        slots = equal + c.base[t]
        for other in equal[~self.decision.gone[slots] & ~np.isin(slots, members)]:
            added = {}
            for layer in self.readers[t]:
                held = self.decision.weights.setdefault(layer.node, layer.weights.copy())
                key = layer.node, int(other)
                column = columns.get(key, held[:, :, other]) + held[:, :, channel]
                if max(np.abs(column).max(), np.abs(column + layer.w_zero).max()) > MOST_WEIGHT:
                    break
                added[key] = column
            else:
                columns.update(added)
                return True
        return False


def decide(c: Channels, multiple: int = MULTIPLE) -> Decision:
    """What can go from the graph that `c` knows."""
    roots = c.classes()
    stays = np.zeros(c.slots, bool)
    stays[roots[c.pinned]] = True
    gone = _without_unneeded(c, roots, stays)
    decision = Decision(gone, np.zeros(c.slots, bool), np.zeros(c.slots, bool))
    _Merging(c, roots, stays, decision).run()
    _keep_padding(c, roots, decision, multiple)
    return decision


def _keep_padding(c: Channels, roots: Array, decision: Decision, multiple: int) -> None:
    """Keep channels that nobody reads where that makes the number of an image's a multiple."""
    tensors = c.graph.tensors
    images = [t for t in c.base if len(tensors[t].shape) == 4 and not tensors[t].is_constant]
    changed = True
    while changed:
        changed = False
        for t in images:
            out = decision.gone[c.at(t)] & ~decision.padding[c.at(t)]
            short = -np.count_nonzero(~out) % multiple
            slots = np.flatnonzero(out)[:short] + c.base[t]
            if 0 < short == len(slots):
                decision.padding |= np.isin(roots, roots[slots])
                changed = True


def shrink(graph: Graph, multiple: int = MULTIPLE) -> Graph:
    """The same graph without the channels that change nothing, until none is left.

    multiple: of which the number of an image's channels is kept, with idle channels; 1 keeps none.
    """
    while True:
        c = known(graph)
        if not c.layers:
            return graph
        decision = decide(c, multiple)
        if not (decision.gone & ~decision.padding).any():
            return graph
        graph = cut(c, decision)
