"""Samples for a model: .npz, .npy, folders of .npy, .wav or images, arrays in memory, or seeded
random.

A `Dataset` holds one array [samples, ...] per model input, in the model's order, each sample
already in the input's dtype and shape. Everything that does not fit is reported at once.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.formats.convert import as_input
from thimble.formats.folder import read_folder
from thimble.formats.images import PIXEL_MEANINGS, image_shape, to_real
from thimble.graph import Model, Tensor

Array = np.ndarray

RANDOM_SAMPLES = 4
RANDOM_SEED = 1
RANDOM_INTEGER_LIMIT = (
    8  # integer inputs are indices or counts as a rule: small ones are legal oftener
)


@dataclass(frozen=True, eq=False)
class Dataset:
    """`inputs[i]` [samples, *shape of input i] in its dtype; `labels` [samples, ...] or None.

    `has_samples` is False when the arrays given had no samples axis (one sample in the very shape
    of the input). `source` says where the data came from, `notes` what was done to them.
    """

    names: tuple[str, ...]
    inputs: tuple[Array, ...]
    labels: Array | None = None
    source: str = ""
    has_samples: bool = True
    notes: tuple[str, ...] = ()
    given: tuple[str, ...] = ()  # dtypes of the arrays as they were given
    classes: tuple[str, ...] = ()  # names of the labels 0, 1, ..., where the data have them

    def __len__(self) -> int:
        return len(self.inputs[0]) if self.inputs else 1

    def sample(self, i: int) -> list[Array]:
        """The inputs of sample i, in the model's order, dtype and shape."""
        return [array[i] for array in self.inputs]

    def __iter__(self) -> Iterator[list[Array]]:
        return (self.sample(i) for i in range(len(self)))

    def first(self, count: int | None) -> Dataset:
        """The first `count` samples (all, where None)."""
        if count is None or count >= len(self):
            return self
        labels = None if self.labels is None else self.labels[:count]
        cut = tuple(array[:count] for array in self.inputs)
        return replace(self, inputs=cut, labels=labels, source=f"{self.source}, first {count}")


def input_tensors(model: Model) -> list[Tensor]:
    """The tensors of the main graph's inputs, in order."""
    return [model.graph.tensors[t] for t in model.graph.inputs]


def as_dataset(data: Any, model: Model, pixels: str = "auto") -> Dataset:
    """`data` as the samples of `model`: a path, an array, a mapping by input name, an iterable of
    samples, a `Dataset`, or None for seeded random samples. Raises BadInput with every finding.

    `pixels` says what uint8 values mean, one of `images.PIXEL_MEANINGS`; auto leaves that to the
    range of the input.
    """
    if isinstance(data, Dataset):
        return data
    if data is None:
        return random_dataset(model)
    if isinstance(data, (str, os.PathLike)):
        tensors = input_tensors(model)
        shape = image_shape(tensors[0]) if len(tensors) == 1 else None
        arrays, notes = read_arrays(os.fspath(data), shape)
        return _match(arrays, model, os.fspath(data), notes, pixels)
    if isinstance(data, Mapping):
        arrays = {str(key): np.asarray(value) for key, value in data.items()}
        return _match(arrays, model, "arrays in memory", (), pixels)
    if isinstance(data, np.ndarray):
        return _match({"x": data}, model, "an array in memory", (), pixels)
    return _match(_stacked(data, model), model, "samples in memory", (), pixels)


def random_dataset(model: Model, samples: int = RANDOM_SAMPLES, seed: int = RANDOM_SEED) -> Dataset:
    """Seeded random samples over each input's range: all integers of int8 and int16, the recorded
    range or [-1, 1] of floats, small integers for indices.
    """
    generator = np.random.default_rng(seed)
    tensors = input_tensors(model)
    arrays = tuple(_random(t, generator, (samples, *t.shape)) for t in tensors)
    source = f"{samples} random samples (NumPy default_rng, seed {seed})"
    return Dataset(tuple(t.name for t in tensors), arrays, None, source)


def _random(tensor: Tensor, generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    if tensor.dtype in ("string", "resource", "variant"):
        raise BadInput(
            Finding(
                "data",
                f"input `{tensor.name}`",
                f"there are no random samples of dtype {tensor.dtype}",
                "models with such inputs cannot be run",
            )
        )
    dtype = np.dtype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    if tensor.dtype == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.kind == "f":
        low, high = -1.0, 1.0
        quant = tensor.quant
        recorded = (None, None) if quant is None else (quant.range_min, quant.range_max)
        if all(limit is not None and len(limit) == 1 for limit in recorded):
            low, high = (float(limit[0]) for limit in recorded if limit is not None)
        return generator.uniform(low, high, shape).astype(dtype)
    if dtype.itemsize <= 2:
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return generator.integers(0, RANDOM_INTEGER_LIMIT, shape).astype(dtype)


def read_arrays(
    path: str, shape: tuple[int, int, int] | None = None
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """(arrays by name, notes) in a .npz, a .npy (named x) or a folder, whose images are brought to
    `shape`. Raises BadInput.
    """
    if os.path.isdir(path):
        return read_folder(Path(path), shape)
    try:
        with open(path, "rb") as file:
            magic = file.read(6)
            if magic[:2] not in (b"PK", b"\x93N"):
                raise BadInput(
                    Finding(
                        "data",
                        path,
                        "is neither a .npz nor a .npy file",
                        "save the samples with numpy.savez(path, x=samples, y=labels)",
                    )
                )
            file.seek(0)
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"x": loaded}, ()
            return {name: loaded[name] for name in loaded.files}, ()
    except OSError as error:
        hint = "check the path" if isinstance(error, FileNotFoundError) else ""
        reason = error.strerror or str(error)
        raise BadInput(Finding("no-file", path, f"cannot be read: {reason}", hint)) from error
    except (ValueError, EOFError, zipfile.BadZipFile, MemoryError, KeyError) as error:
        hint = "save it again with numpy.savez; object arrays are not read"
        raise BadInput(Finding("data", path, f"is damaged: {error}", hint)) from error


def _stacked(samples: Any, model: Model) -> dict[str, Array]:
    """An iterable of samples (an array, a sequence in input order or a mapping each) as arrays."""
    names = [t.name for t in input_tensors(model)]
    columns: dict[str, list[Array]] = {}
    try:
        for sample in samples:
            if isinstance(sample, Mapping):
                items = [(str(k), v) for k, v in sample.items()]
            elif isinstance(sample, (list, tuple)) and len(names) > 1:
                items = list(zip(names, sample))
            else:
                items = [("x", sample)]
            for name, value in items:
                columns.setdefault(name, []).append(np.asarray(value))
        return {name: np.stack(values) for name, values in columns.items()}
    except (TypeError, ValueError) as error:
        raise BadInput(
            Finding(
                "data",
                type(samples).__name__,
                f"is no iterable of equally shaped samples: {error}",
                "give an array [samples, ...] or a dict of them by input name",
            )
        ) from error


def _aliases(model: Model) -> list[list[str]]:
    """For each input the names under which its array is looked for, the most telling first."""
    tensors = input_tensors(model)
    found = []
    for i, (index, tensor) in enumerate(zip(model.graph.inputs, tensors)):
        names = [tensor.name, tensor.name.split(":")[0]]
        names += [
            key
            for signature in model.signatures
            if signature.subgraph == 0
            for key, t in signature.inputs.items()
            if t == index
        ]
        names += ["x"] if len(tensors) == 1 else []
        found.append([*dict.fromkeys(names), f"x{i}", f"input{i}", f"input_{i}"])
    return found


def _match(
    arrays: Mapping[str, Array], model: Model, source: str, notes: Sequence[str], pixels: str
) -> Dataset:
    tensors = input_tensors(model)
    findings: list[Finding] = []
    chosen: list[Array | None] = []
    for names, tensor in zip(_aliases(model), tensors):
        name = next((n for n in names if n in arrays), None)
        if name is None:
            findings.append(
                Finding(
                    "data",
                    f"{source}, input `{tensor.name}`",
                    f"no array has this name; there are: {', '.join(arrays) or 'none'}",
                    f"name the array {' or '.join(f'`{n}`' for n in names[:3])}",
                )
            )
        chosen.append(arrays[name] if name is not None else None)
    inputs: list[Array] = []
    notes = list(notes)
    with_axis: list[bool] = []
    for array, tensor in zip(chosen, tensors):
        if array is None:
            continue
        samples, has_axis, problem = _samples(array, tensor)
        if samples is None:
            findings.append(Finding("data", f"{source}, input `{tensor.name}`", *problem))
            continue
        if pixels != "auto" and samples.dtype == np.uint8:
            samples = to_real(samples, pixels)
            notes.append(f"input `{tensor.name}`: pixels {PIXEL_MEANINGS[pixels]}")
        converted, note, problem = as_input(samples, tensor)
        if converted is None:
            findings.append(Finding("data", f"{source}, input `{tensor.name}`", *problem))
            continue
        inputs.append(converted)
        with_axis.append(has_axis)
        if note:
            notes.append(f"input `{tensor.name}`: {note}")
    counts = {len(array) for array in inputs}
    labels = arrays.get("y")
    if labels is not None and labels.ndim and (tensors and "y" not in [t.name for t in tensors]):
        counts.add(len(labels))
    elif labels is not None and labels.ndim == 0:
        labels = labels.reshape(1)
    if not findings and len(counts) > 1:
        findings.append(
            Finding(
                "data",
                source,
                f"the arrays have different numbers of samples: {sorted(counts)}",
                "axis 0 of every array counts the samples",
            )
        )
    if not findings and counts == {0}:
        findings.append(Finding("data", source, "there are no samples", "axis 0 is empty"))
    if findings:
        raise BadInput(findings)
    return Dataset(
        tuple(t.name for t in tensors),
        tuple(inputs),
        labels,
        source,
        any(with_axis) or not with_axis,
        tuple(notes),
        tuple(str(array.dtype) for array in chosen if array is not None),
        _class_names(arrays),
    )


def _class_names(arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """The strings in an array called classes, class_names or labels."""
    for name in ("classes", "class_names", "labels"):
        array = arrays.get(name)
        if array is not None and array.dtype.kind in "US" and array.ndim == 1:
            return tuple(str(x) for x in array.astype(str))
    return ()


def _samples(array: Array, tensor: Tensor) -> tuple[Array | None, bool, tuple[str, str]]:
    """(array as [samples, *shape], whether it had that axis, problem when it does not fit).

    A leading 1 of the input's shape (its batch) may be missing in the array, as in [samples, 49,
    10, 1] for an input [1, 49, 10, 1]; a batch of N takes N rows of axis 0 at a time.
    """
    shape, given = tensor.shape, array.shape
    if given[1:] == shape and array.ndim == len(shape) + 1:
        return array, True, ("", "")
    if shape and given[1:] == shape[1:] and given and shape[0] and given[0] % shape[0] == 0:
        samples = array.reshape(-1, *shape)
        return samples, shape[0] == 1 or given[0] != shape[0], ("", "")
    if given == shape:
        return array[None], False, ("", "")
    if given and shape[:1] == (1,):
        core = [d for d in shape[1:] if d != 1]
        if [d for d in given[1:] if d != 1] == core and array.size:
            return array.reshape(given[0], *shape), True, ("", "")
        if [d for d in given if d != 1] == core and array.size:
            return array.reshape(1, *shape), False, ("", "")
    wanted = ", ".join(["samples", *map(str, shape[1:] if shape[:1] == (1,) else shape)])
    return (
        None,
        False,
        (f"has shape {list(given)}; the input takes {list(shape)}", f"give an array [{wanted}]"),
    )
