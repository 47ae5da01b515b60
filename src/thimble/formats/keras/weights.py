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
from typing import Any, Protocol

import numpy as np

from thimble.errors import Finding, InvalidModel

Array = np.ndarray

MAX_ARRAY_BYTES = 512 << 20
# What h5py raises on damaged files, by what is damaged.
HDF5_ERRORS = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, MemoryError)


def damaged(source: str, message: str) -> InvalidModel:
    """The error for a file that is not what its format says."""
    return InvalidModel(Finding("damaged", source, message, "fetch it or save it again"))


@dataclass(frozen=True)
class Group:
    """A group of an HDF5 file. Links out of the file are not followed."""

    handle: Any
    source: str

    def names(self) -> list[str]:
        """The names in the group that lie in this file."""
        import h5py

        try:
            return [
                name
                for name in self.handle
                if isinstance(self.handle.get(name, getlink=True), h5py.HardLink)
            ]
        except HDF5_ERRORS as error:
            raise damaged(self.source, f"a group cannot be listed: {error}") from error

    def _member(self, name: str, kind: str) -> Any:
        import h5py

        try:
            link = self.handle.get(name, getlink=True)
            found = self.handle[name] if isinstance(link, h5py.HardLink) else None
            return found if isinstance(found, getattr(h5py, kind)) else None
        except HDF5_ERRORS as error:
            raise damaged(self.source, f"`{name}` cannot be read: {error}") from error

    def group(self, name: str) -> Group | None:
        """The group of this name, or None. A name with slashes is a path."""
        current: Group = self
        for part in name.split("/"):
            found = current._member(part, "Group")
            if found is None:
                return None
            current = Group(found, self.source)
        return current

    def attribute(self, name: str) -> Any:
        """The value of an attribute, or None."""
        try:
            return self.handle.attrs.get(name, None)
        except HDF5_ERRORS as error:
            raise damaged(self.source, f"attribute `{name}` cannot be read: {error}") from error

    def array(self, name: str) -> Array:
        """The float32 values of a dataset; its name may be a path. Raises InvalidModel."""
        *folders, last = name.split("/")
        group = self.group("/".join(folders)) if folders else self
        found = None if group is None else group._member(last, "Dataset")
        if found is None:
            raise damaged(self.source, f"the weights `{name}` are missing")
        try:
            kind, bytes_ = found.dtype.kind, int(found.size or 0) * max(found.dtype.itemsize, 4)
            if found.external or found.is_virtual:
                raise damaged(self.source, f"the weights `{name}` lie in another file")
            if kind not in "fiub" or bytes_ > MAX_ARRAY_BYTES:
                raise damaged(self.source, f"`{name}` is {found.dtype} {list(found.shape)}")
            return np.ascontiguousarray(found[()], np.float32)
        except HDF5_ERRORS as error:
            raise damaged(self.source, f"`{name}` cannot be read: {error}") from error


def open_hdf5(content: bytes, source: str) -> Group:
    """The root of an HDF5 file that is in memory. Raises InvalidModel."""
    import h5py

    try:
        return Group(h5py.File(h5py.h5f.open_file_image(content)), source)
    except HDF5_ERRORS as error:
        raise damaged(source, f"the HDF5 file is damaged: {error}") from error


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

    @classmethod
    def of(cls, root: Group, source: str) -> WeightsV3:
        """The weights of the outermost model."""
        return cls(root)

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
            if isinstance(told, (str, bytes)):
                by_name[told.decode("utf8", "replace") if isinstance(told, bytes) else told] = key
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
    def of(cls, group: Group, source: str) -> LegacyWeights:
        """The weights of the outermost model, which the group `model_weights` holds."""
        layers: dict[str, LegacyWeights] = {}
        for layer in group.names():
            inner = group.group(layer)
            listed = None if inner is None else inner.attribute("weight_names")
            if inner is None or listed is None:
                continue
            entries = []
            for name in np.atleast_1d(np.asarray(listed)).tolist():
                text = name.decode("utf8", "replace") if isinstance(name, bytes) else str(name)
                entries.append((tuple(text.split("/")), inner.array(text)))
            layers[layer] = cls(tuple(entries))
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
