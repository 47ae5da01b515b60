"""Ways to damage a model: small functions that change one thing in one layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from thimble.graph import Graph, Model, Node, Quant, Tensor

Array = np.ndarray

LINEAR = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BIAS = 2


@dataclass(frozen=True, eq=False)
class Damaged:
    """A model and the layers (indices of it) any of which may be called guilty."""

    model: Model
    guilty: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Site:
    """Where a fault is put: node `index` of `model`, with a seeded generator for its strength."""

    model: Model
    index: int
    rng: np.random.Generator

    @property
    def graph(self) -> Graph:
        return self.model.graph

    @property
    def node(self) -> Node:
        return self.graph.nodes[self.index]

    @property
    def op(self) -> Any:
        return self.node.op

    def tensor(self, k: int) -> Tensor | None:
        """Input k, None where it is absent."""
        inputs = self.node.inputs
        return self.graph.tensors[inputs[k]] if k < len(inputs) and inputs[k] >= 0 else None

    @property
    def weights(self) -> Tensor | None:
        tensor = self.tensor(1) if self.op.name in LINEAR else None
        usable = tensor is not None and tensor.data is not None
        return tensor if usable and tensor.dtype in ("int8", "float32") else None  # type: ignore[union-attr]

    @property
    def bias(self) -> Tensor | None:
        tensor = self.tensor(BIAS) if self.op.name in LINEAR else None
        usable = tensor is not None and tensor.data is not None and np.any(tensor.data)
        return tensor if usable else None

    @property
    def axis(self) -> int:
        """The axis of the weights' output channels."""
        return 3 if self.op.name == "DEPTHWISE_CONV_2D" else 0

    def done(self, graph: Graph, guilty: Sequence[int] | None = None) -> Damaged:
        """The damaged model; by default this layer is guilty."""
        return Damaged(self.model.with_graph(graph), tuple(guilty or (self.index,)))

    def with_tensor(self, t: int, **changes: Any) -> Graph:
        """The graph with tensor t changed."""
        tensors = list(self.graph.tensors)
        tensors[t] = replace(tensors[t], **changes)
        return self.graph.with_(tensors=tuple(tensors))

    def with_node(self, **changes: Any) -> Graph:
        """The graph with the node changed."""
        nodes = list(self.graph.nodes)
        nodes[self.index] = replace(nodes[self.index], **changes)
        return self.graph.with_(nodes=tuple(nodes))

    def with_option(self, **changes: Any) -> Damaged:
        """The model with options of the node changed."""
        return self.done(self.with_node(op=replace(self.op, **changes)))


Change = Callable[[Site, Array], Array | None]


def on_weights(change: Change) -> Callable[[Site], Damaged | None]:
    """A damage of the stored weights; None where `change` gives None or changes nothing."""

    def damage(site: Site) -> Damaged | None:
        w = site.weights
        if w is None or w.data is None or w.elements < 4:
            return None
        new = change(site, np.array(w.data))
        if new is None or np.array_equal(new, w.data):
            return None
        t = site.node.inputs[1]
        data = np.ascontiguousarray(new.astype(w.data.dtype)).reshape(w.shape)
        return site.done(site.with_tensor(t, data=data))

    return damage


def on_bias(change: Change) -> Callable[[Site], Damaged | None]:
    """A damage of the stored bias."""

    def damage(site: Site) -> Damaged | None:
        b = site.bias
        if b is None or b.data is None:
            return None
        new = change(site, np.array(b.data))
        if new is None or np.array_equal(new, b.data):
            return None
        t = site.node.inputs[BIAS]
        return site.done(site.with_tensor(t, data=new.astype(b.data.dtype)))

    return damage


def on_weight_scale(
    change: Callable[[Site, Array], Array | None],
) -> Callable[[Site], Damaged | None]:
    """A damage of the weights' scales; float weights are multiplied instead."""

    def damage(site: Site) -> Damaged | None:
        w = site.weights
        if w is None or w.data is None:
            return None
        t = site.node.inputs[1]
        if w.dtype == "float32":
            factor = change(site, np.ones(1, np.float32))
            if factor is None:
                return None
            return site.done(site.with_tensor(t, data=(w.data * factor).astype(np.float32)))
        if w.quant is None:
            return None
        scale = change(site, np.array(w.quant.scale))
        if scale is None:
            return None
        quant = replace(w.quant, scale=scale.astype(np.float32))
        return site.done(site.with_tensor(t, quant=quant))

    return damage


def on_output_quant(
    change: Callable[[Site, Quant], Quant | None],
) -> Callable[[Site], Damaged | None]:
    """A damage of the quantization of the layer's output."""

    def damage(site: Site) -> Damaged | None:
        t = site.node.outputs[0]
        tensor = site.graph.tensors[t]
        fixed = site.op.name in ("SOFTMAX", "LOGISTIC", "TANH", "RESHAPE", "QUANTIZE")
        if tensor.dtype != "int8" or tensor.quant is None or fixed or _is_shared(site, t):
            return None
        quant = change(site, tensor.quant)
        return None if quant is None else site.done(site.with_tensor(t, quant=quant))

    return damage


def _is_shared(site: Site, t: int) -> bool:
    """Whether the tensor is an output of the model (whose parameters belong to the interface)."""
    return t in site.graph.outputs


def scaled_by(low: float, high: float) -> Callable[[Site, Quant], Quant]:
    """The scale times a factor drawn from [low, high]."""

    def change(site: Site, quant: Quant) -> Quant:
        factor = site.rng.uniform(low, high)
        return replace(quant, scale=(quant.scale * factor).astype(np.float32))

    return change


def moved_by(low: int, high: int) -> Callable[[Site, Quant], Quant | None]:
    """The zero point plus or minus an integer of [low, high], within int8."""

    def change(site: Site, quant: Quant) -> Quant | None:
        by = int(site.rng.integers(low, high + 1))
        zero = quant.zero_point + (by if quant.zero_point[0] + by <= 127 else -by)
        return replace(quant, zero_point=zero) if -128 <= zero[0] <= 127 else None

    return change


def option(name: str, choose: Callable[[Site, Any], Any]) -> Callable[[Site], Damaged | None]:
    """A damage of one option; None where the op lacks it or `choose` gives None."""

    def damage(site: Site) -> Damaged | None:
        try:
            known = {f.name for f in fields(site.op)}
        except TypeError:
            return None
        if name not in known:
            return None
        new = choose(site, getattr(site.op, name))
        return None if new is None else site.with_option(**{name: new})

    return damage
