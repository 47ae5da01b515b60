"""Arrays out of HDF5, found by layer.

Two layouts. In .keras archives a layer is a group `layers/<class in snake case>[_n]` with its
arrays in `vars/0`, `vars/1` ...; models and layers nest. In .h5 files a layer of the outermost
model is a group by its name, whose attribute `weight_names` lists the arrays, those of nested
layers too, as `layer/kernel:0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thimble.formats.keras.hdf5 import Group

Array = np.ndarray


class Weights(Protocol):
    """The arrays of a layer or model, and of what it contains."""

    def arrays(self) -> Sequence[Array]:
        """The layer's own, in Keras' order: those that train, then the others."""
        ...

    def layers(self, kinds: Sequence[tuple[str, str]]) -> Sequence[Weights]:
        """Those of the layers of a model, given as (class, name) in the model's order."""
        ...

    def part(self, name: str) -> Weights:
        """Those of a layer that a layer keeps as its attribute `name`."""
        ...

    def parts(self, name: str) -> Sequence[Weights]:
        """Those of the parts `name`, `name_1`, `name_2` ..., whatever the first number is."""
        ...


def _numbered(names: Iterable[str], wanted: str) -> list[str]:
    """Those of `names` that are `wanted` with or without a number, in the order of the numbers."""
    found = {}
    for name in names:
        base, _, number = name.rpartition("_")
        if name == wanted or (base == wanted and number.isdigit()):
            found[name] = int(number) if base == wanted and number.isdigit() else 0
    return sorted(found, key=lambda name: found[name])


def snake_case(name: str) -> str:
    """DepthwiseConv2D -> depthwise_conv2d, as Keras names groups by class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@dataclass(frozen=True)
class WeightsV3:
    """A group of a .keras archive's weights; None where a layer without weights has none."""

    group: Group | None

    def arrays(self) -> Sequence[Array]:
        own = None if self.group is None else self.group.group("vars")
        if own is None:
            return []
        names = sorted((n for n in own.names() if n.isdigit()), key=int)
        return [own.array(name) for name in names]

    def layers(self, kinds: Sequence[tuple[str, str]]) -> Sequence[Weights]:
        held = None
        if self.group is not None:  # the second is how Keras 2.12 called it
            held = self.group.group("layers") or self.group.group("_layer_checkpoint_dependencies")
        if held is None:
            return [WeightsV3(None) for _ in kinds]
        by_name: dict[str, str] = {}
        for key in held.names():
            own = held.group(f"{key}/vars")
            told = None if own is None else own.attribute("name")
            if isinstance(told, str):
                by_name[told] = key
        found: list[Weights] = []
        used: dict[str, int] = {}
        for kind, name in kinds:
            base = snake_case(kind.rsplit(">", 1)[-1])
            used[base] = used.get(base, -1) + 1
            counted = f"{base}_{used[base]}" if used[base] else base
            found.append(WeightsV3(held.group(by_name.get(name, counted))))
        return found

    def part(self, name: str) -> WeightsV3:
        return WeightsV3(None if self.group is None else self.group.group(name))

    def parts(self, name: str) -> Sequence[Weights]:
        names = [] if self.group is None else self.group.names()
        return [self.part(found) for found in _numbered(names, name)]


@dataclass(frozen=True)
class LegacyWeights:
    """Arrays of an .h5 file with the path that Keras gave each: (("conv", "kernel:0"), array)."""

    entries: Sequence[tuple[tuple[str, ...], Array]]
    by_layer: dict[str, LegacyWeights] | None = None  # of the outermost model

    @classmethod
    def of(cls, group: Group) -> LegacyWeights:
        """The weights of the outermost model, which the group `model_weights` holds."""
        layers: dict[str, LegacyWeights] = {}
        for layer in group.names():
            inner = group.group(layer)
            listed = None if inner is None else inner.attribute("weight_names")
            if inner is not None and isinstance(listed, list):
                found = ((tuple(name.split("/")), inner.array(name)) for name in listed)
                layers[layer] = cls(tuple(found))
        return cls((), layers)

    def arrays(self) -> Sequence[Array]:
        return [array for _, array in self.entries]

    def layers(self, kinds: Sequence[tuple[str, str]]) -> Sequence[Weights]:
        if self.by_layer is not None:
            return [self.by_layer.get(name, LegacyWeights(())) for _, name in kinds]
        return [self.part(name) for _, name in kinds]

    def part(self, name: str) -> LegacyWeights:
        return LegacyWeights(tuple(e for e in self.entries if name in e[0][:-1]))

    def parts(self, name: str) -> Sequence[Weights]:
        names = dict.fromkeys(part for path, _ in self.entries for part in path[:-1])
        return [self.part(found) for found in _numbered(names, name)]
