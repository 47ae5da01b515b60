"""Two runs of a model side by side, layer by layer: where they part, and who is to blame."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thimble.errors import BadInput, Finding, UnsupportedModel
from thimble.formats import load_model
from thimble.formats.convert import dequantize_array, quantize_array
from thimble.formats.data import RANDOM_SAMPLES, Dataset, as_dataset, input_tensors, random_dataset
from thimble.graph import Model, Tensor
from thimble.report import CompareLayer, CompareReport, Divergence
from thimble.runners import check_runner, make_runner, runner_names
from thimble.runners.reference import ReferenceRunner
from thimble.support import runnable
from thimble.trace import Trace

Array = np.ndarray
Progress = Callable[[int, int], None]

DEFAULT_RUNNER = "reference"
# Float tensors count as equal within this part of their largest magnitude: the order of additions
# and libm differ between runners. Measured between the peers' own kernels: up to 2e-5
# (docs/numerics.md).
FLOAT_RTOL = 1e-4


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: a model on a runner, and how reports call it."""

    model: Model
    runner: str
    name: str


def side(what: Any) -> Side:
    """A model, a path, "PATH@RUNNER" or (model or path, runner). Raises BadInput."""
    runner = DEFAULT_RUNNER
    if isinstance(what, (tuple, list)) and len(what) == 2:
        what, runner = what
    elif isinstance(what, str) and "@" in what:
        path, _, last = what.rpartition("@")
        if last in runner_names() or ("/" not in last and "." not in last):
            what, runner = path, last
    check_runner(runner)
    model = load_model(what)
    return Side(model, runner, f"{model.source}@{runner}")


def compare(
    a: Any,
    b: Any,
    data: Any = None,
    *,
    tolerance_lsb: float = 0.0,
    samples: int | None = None,
    progress: Progress = lambda done, count: None,
) -> CompareReport:
    """How far B's tensors are from A's of the same names. Raises BadInput or ToolMissing."""
    one, two = side(a), side(b)
    for_a, for_b = paired(one.model, two.model, data, samples)
    tensors_a = {t.name: t for t in one.model.graph.tensors}
    tensors_b = {t.name: t for t in two.model.graph.tensors}
    pairs: dict[str, _Pair] = {}
    order: list[tuple[int, str, str, tuple[str, ...]]] = []
    only_a: list[str] = []
    notes = list(for_a.notes)
    blame = _Blame(one.model, two.model)
    with (
        make_runner(one.runner, one.model) as runner_a,
        make_runner(two.runner, two.model) as runner_b,
    ):
        for i, (sample_a, sample_b) in enumerate(zip(for_a, for_b)):
            trace_a, trace_b = runner_a.trace(sample_a), runner_b.trace(sample_b)
            if not order:
                order = [tuple(layer) for layer in trace_b.layers]  # type: ignore[misc]
                only_a = [name for name in trace_a.tensors if name not in trace_b.tensors]
                order += [
                    (len(order) + i, "OUTPUT", name, (name,))
                    for i, name in enumerate(trace_b.outputs)
                    if name not in trace_b.tensors
                ]
            blame.start(sample_b, trace_b)
            shown_a = {**trace_a.outputs, **trace_a.tensors}
            for name, y in {**trace_b.outputs, **trace_b.tensors}.items():
                if name not in shown_a or name not in tensors_a or name not in tensors_b:
                    continue
                x = shown_a[name]
                if x.shape != y.shape:
                    if x.size != y.size:
                        continue
                    x = x.reshape(y.shape)
                pair = pairs.setdefault(name, _Pair(tensors_a[name], tensors_b[name]))
                pair.add(x, y, blame.expected(name))
            progress(i + 1, len(for_a))
    layers = [
        row
        for index, op, name, outputs in order
        if (row := _row(index, op, name, [pairs[o] for o in outputs if o in pairs])) is not None
    ]
    apart = [
        (index, name, op)
        for index, op, name, outputs in order
        if any(not pairs[o].agrees(tolerance_lsb) for o in outputs if o in pairs)
    ]
    only_b = [
        o for _, _, _, outputs in order for o in outputs if o not in pairs and o not in only_a
    ]
    if not layers:
        raise BadInput(
            Finding(
                "nothing-to-compare",
                f"{one.name}, {two.name}",
                "no tensor of one has the name and size of a tensor of the other",
                "compare versions of the same model",
            )
        )
    if blame.missing:
        notes.append(f"introduced and inherited are not known: {blame.missing}")
    lsbs = [p.max_lsb for p in pairs.values() if p.max_lsb is not None]
    return CompareReport(
        equal=not apart,
        max_abs_lsb=max(lsbs) if lsbs else None,
        first_divergence=Divergence(*apart[0]) if apart else None,
        layers=layers,
        a=one.name,
        b=two.name,
        samples=len(for_a),
        tolerance_lsb=tolerance_lsb,
        max_abs=max(p.max_abs for p in pairs.values()),
        only_in_a=[n for n in only_a if n not in pairs],
        only_in_b=only_b,
        notes=notes,
        provenance={
            "data": for_a.source,
            "values": f"measured: {one.name} and {two.name} on the same samples",
            "introduced": "B's layer against A's, computed by the reference on B's inputs",
        },
    )


def paired(a: Model, b: Model, data: Any, samples: int | None) -> tuple[Dataset, Dataset]:
    """The same samples for both models, each in its own dtype. Raises BadInput.

    Real data are quantized for each; integers belong to the model that has that dtype, and the
    other gets the real values they stand for.
    """
    tensors_a, tensors_b = input_tensors(a), input_tensors(b)
    findings = [
        Finding(
            "inputs-differ",
            f"{a.source}, {b.source}, input {i}",
            f"`{x.name}` is {list(x.shape)}, `{y.name}` is {list(y.shape)}",
            "compare models of the same inputs",
        )
        for i, (x, y) in enumerate(zip(tensors_a, tensors_b))
        if x.elements != y.elements
    ]
    if len(tensors_a) != len(tensors_b):
        message = f"{len(tensors_a)} inputs against {len(tensors_b)}"
        findings.append(Finding("inputs-differ", f"{a.source}, {b.source}", message))
    if findings:
        raise BadInput(findings)
    if data is None:
        is_b_quantized = any(t.dtype in ("int8", "int16", "uint8") for t in tensors_b)
        base, other = (b, a) if is_b_quantized else (a, b)
        first = random_dataset(base, samples or RANDOM_SAMPLES)
        second = _translated(first, base, other)
        return (second, first) if is_b_quantized else (first, second)
    if isinstance(data, Dataset):
        for_a = data.first(samples)
        return for_a, _translated(for_a, a, b)
    if not isinstance(data, (str, os.PathLike, np.ndarray, Mapping)):
        data = list(data)  # it is read twice
    for_a = as_dataset(data, a).first(samples)
    if for_a.given and all(np.dtype(g).kind == "f" for g in for_a.given):
        return for_a, as_dataset(data, b).first(samples)
    dtypes_a = [t.dtype for t in tensors_a]
    if list(for_a.given) == dtypes_a or not for_a.given:
        return for_a, _translated(for_a, a, b)
    for_b = as_dataset(data, b).first(samples)
    return _translated(for_b, b, a), for_b


def _translated(dataset: Dataset, base: Model, other: Model) -> Dataset:
    """Samples of `base` as `other` takes them: the same numbers or the same real values."""
    arrays = []
    for array, x, y in zip(dataset.inputs, input_tensors(base), input_tensors(other)):
        moved = _as_tensor(array, x, y).reshape(len(array), *y.shape)
        arrays.append(moved)
    names = tuple(t.name for t in input_tensors(other))
    return replace(dataset, names=names, inputs=tuple(arrays))


def _quantization(tensor: Tensor) -> tuple[float, int]:
    """(scale, zero point) of a per-tensor quantized integer tensor, (0, 0) for any other."""
    if tensor.dtype not in ("int8", "int16", "uint8", "int32") or tensor.quant is None:
        return 0.0, 0
    if len(tensor.quant.scale) != 1:
        return 0.0, 0
    return float(tensor.quant.scale[0]), int(tensor.quant.zero_point[0])


def _as_tensor(array: Array, x: Tensor, y: Tensor) -> Array:
    """Values of tensor x in the dtype of tensor y."""
    if x.dtype == y.dtype and _quantization(x) == _quantization(y):
        return array
    real = dequantize_array(array, *_quantization(x))
    if _quantization(y)[0]:
        return quantize_array(real, y)
    return real.astype(y.dtype)


class _Pair:
    """The differences of one tensor, collected over samples."""

    def __init__(self, a: Tensor, b: Tensor):
        self.a, self.b = a, b
        self.exact = a.dtype == b.dtype and _quantization(a) == _quantization(b)
        self.scale = _quantization(b)[0] or _quantization(a)[0]
        self.max_abs = self.sum_abs = self.signal = self.noise = self.largest = 0.0
        self.count = self.mismatched = 0
        self.max_steps = 0.0
        self.introduced: float | None = None
        self.inherited: float | None = None

    @property
    def is_integer(self) -> bool:
        return self.exact and self.b.dtype != "float32" and not self.b.dtype.startswith("float")

    @property
    def max_lsb(self) -> float | None:
        """Steps of the quantized side, or of the integers themselves; None for floats."""
        if self.is_integer:
            return self.max_steps
        return self.max_abs / self.scale if self.scale else None

    def add(self, x: Array, y: Array, expected: Array | None) -> None:
        """One sample: A's values, B's values, and what A's layer makes of B's inputs (or None)."""
        real_x = dequantize_array(x, *_quantization(self.a))
        real_y = dequantize_array(y, *_quantization(self.b))
        same = (real_x == real_y) | (np.isnan(real_x) & np.isnan(real_y))
        gap = np.where(same, 0.0, np.abs(real_x - real_y))
        gap = np.where(np.isnan(gap), np.inf, gap)
        self.max_abs = max(self.max_abs, float(gap.max(initial=0.0)))
        self.sum_abs += float(gap.sum())
        self.count += gap.size
        finite = np.isfinite(real_x)
        self.largest = max(self.largest, float(np.abs(real_x[finite]).max(initial=0.0)))
        self.signal += float(np.square(real_x[finite]).sum())
        self.noise += float(np.square(gap).sum())
        if self.is_integer:
            steps = np.abs(x.astype(np.int64) - y.astype(np.int64))
            self.max_steps = max(self.max_steps, float(steps.max(initial=0)))
            self.mismatched += int(np.count_nonzero(steps))
        elif self.scale:
            self.mismatched += int(np.count_nonzero(gap > 0.5000001 * self.scale))
        else:
            self.mismatched += int(np.count_nonzero(gap))
        if expected is not None:
            wanted = dequantize_array(expected.reshape(x.shape), *_quantization(self.a))
            self.introduced = max(self.introduced or 0.0, _gap(wanted, real_y))
            self.inherited = max(self.inherited or 0.0, _gap(wanted, real_x))

    def agrees(self, tolerance_lsb: float) -> bool:
        """Whether no difference exceeds the tolerance (floats: FLOAT_RTOL of the largest
        magnitude).
        """
        if self.max_lsb is not None:
            return self.max_lsb <= tolerance_lsb
        return self.max_abs <= FLOAT_RTOL * self.largest


def _gap(x: Array, y: Array) -> float:
    difference = np.abs(x - y)
    return float(difference[np.isfinite(difference)].max(initial=0.0))


def _row(index: int, op: str, name: str, pairs: list[_Pair]) -> CompareLayer | None:
    if not pairs:
        return None
    count = sum(p.count for p in pairs)
    signal, noise = sum(p.signal for p in pairs), sum(p.noise for p in pairs)
    lsbs = [p.max_lsb for p in pairs if p.max_lsb is not None]
    introduced = [p.introduced for p in pairs if p.introduced is not None]
    inherited = [p.inherited for p in pairs if p.inherited is not None]
    return CompareLayer(
        index,
        op,
        name,
        max_abs=max(p.max_abs for p in pairs),
        max_lsb=max(lsbs) if lsbs else None,
        mean_abs=sum(p.sum_abs for p in pairs) / count if count else 0.0,
        sqnr_db=10 * math.log10(signal / noise) if noise and signal else None,
        mismatched=sum(p.mismatched for p in pairs),
        introduced=max(introduced) if introduced else None,
        inherited=max(inherited) if inherited else None,
    )


class _Blame:
    """What A's layers make of B's inputs: shows a layer's own error apart from what it got."""

    def __init__(self, a: Model, b: Model):
        a = runnable(a)
        self.graph = a.graph
        self.tensors_b = {t.name: t for t in b.graph.tensors}
        self.inputs_b = input_tensors(b)
        self.missing = ""
        self.producers = a.graph.producers()
        self.index = {t.name: i for i, t in enumerate(a.graph.tensors)}
        self._values: dict[int, Array] = {}
        try:
            self.reference: ReferenceRunner | None = ReferenceRunner(a)
        except UnsupportedModel:
            self.reference = None
            self.missing = f"{a.source} has layers without kernels"

    def start(self, inputs: list[Array], trace: Trace) -> None:
        """Take B's tensors of one sample, as A's tensors of the same name would hold them."""
        self._values = {i: t.data for i, t in enumerate(self.graph.tensors) if t.data is not None}
        for name, array in trace.tensors.items():
            i = self.index.get(name)
            if i is None or name not in self.tensors_b:
                continue
            tensor = self.graph.tensors[i]
            if tensor.elements == array.size:
                moved = _as_tensor(array, self.tensors_b[name], tensor)
                self._values[i] = moved.reshape(tensor.shape)
        for i, array, tensor_b in zip(self.graph.inputs, inputs, self.inputs_b):
            tensor = self.graph.tensors[i]
            self._values[i] = _as_tensor(array, tensor_b, tensor).reshape(tensor.shape)

    def expected(self, name: str) -> Array | None:
        """Tensor `name` as A's layer computes it from B's tensors; None where it cannot."""
        index = self.index.get(name)
        if self.reference is None or index is None or index not in self.producers:
            return None
        return self._compute(index, {})

    def _compute(self, index: int, memo: dict[int, Array]) -> Array | None:
        assert self.reference is not None
        node = self.graph.nodes[self.producers[index]]
        values = dict(memo)
        for t in node.inputs:
            if t < 0:
                continue
            if t in self._values:
                values[t] = self._values[t]
            elif t in self.producers:
                found = self._compute(t, memo)
                if found is None:
                    return None
                values[t] = memo[t] = found
            else:
                return None
        outputs = dict(zip(node.outputs, self.reference.node(self.producers[index], values)))
        memo |= outputs
        return outputs[index]
