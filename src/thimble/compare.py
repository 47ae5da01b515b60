"""Two runs of a model side by side, layer by layer: where they part, and who is to blame."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from thimble.errors import BadInput, Finding, ThimbleError
from thimble.explain.evidence import Evidence
from thimble.explain.functions import Functions
from thimble.explain.match import match_tensors
from thimble.explain.pair import FLOAT_RTOL, Pair
from thimble.explain.values import as_tensor
from thimble.formats import load_model
from thimble.formats.data import RANDOM_SAMPLES, Dataset, as_dataset, input_tensors, random_dataset
from thimble.graph import Model
from thimble.report import Cause, CompareLayer, CompareReport, Divergence
from thimble.runners import check_runner, make_runner, split_runner
from thimble.trace import Trace

if TYPE_CHECKING:
    from thimble.runners import Runner

__all__ = ["DEFAULT_RUNNER", "FLOAT_RTOL", "Side", "compare", "paired", "side"]

Array = np.ndarray
Progress = Callable[[int, int], None]
Row = tuple[int, str, str, tuple[str, ...]]  # index, op, name, names of the tensors

DEFAULT_RUNNER = "reference"
EXPLAINED_SAMPLES = 4  # whose tensors are kept and explained


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two: a model on a runner, and how reports call it.

    `given` is a runner of the caller's own: any object whose `trace(inputs)` returns a `Trace`.
    """

    model: Model
    runner: str
    name: str
    given: Runner | None = None

    def open(self, explain: bool) -> AbstractContextManager[Runner]:
        """The runner, for a `with` block. Layers keep the channels that the file says.

        explain: the reference also runs layers whose scales do not fit together, and remembers.
        """
        if self.given is not None:
            return nullcontext(self.given)
        if explain and self.runner == DEFAULT_RUNNER:
            return nullcontext(cast("Runner", Functions(self.model)))
        return make_runner(self.runner, self.model, shrink=False)


def side(what: Any) -> Side:
    """A model, a path, "PATH@RUNNER" or (model or path, runner). Raises BadInput."""
    runner = DEFAULT_RUNNER
    if isinstance(what, (tuple, list)) and len(what) == 2:
        what, runner = what
        if not isinstance(runner, str):
            model = load_model(what)
            name = type(runner).__name__
            return Side(model, name, f"{model.source}@{name}", runner)
    elif isinstance(what, str):
        what, named = split_runner(what)
        runner = named or runner
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
    explain: bool = False,
    data_b: Any = None,
    isolate: str | os.PathLike[str] | None = None,
    fix: str | os.PathLike[str] | None = None,
    progress: Progress = lambda done, count: None,
) -> CompareReport:
    """How far B's tensors are from A's, matched by name and structure; `explain` adds the causes.

    `data_b` are B's samples where its preprocessing is a different one. `isolate` writes the
    guilty layer as a .tflite file with its inputs and outputs beside it, `fix` B with the repairs
    that the causes name; both need `explain`. Raises BadInput or ToolMissing.
    """
    one, two = side(a), side(b)
    for_a, for_b = paired(one.model, two.model, data, samples)
    if data_b is not None:
        for_b = as_dataset(data_b, two.model).first(len(for_a))
    with one.open(explain) as runner_a, two.open(explain) as runner_b:
        work = _Work(one, two, tolerance_lsb, (_functions(runner_a), _functions(runner_b)))
        for i, (sample_a, sample_b) in enumerate(zip(for_a, for_b)):
            traces = runner_a.trace(sample_a), runner_b.trace(sample_b)
            work.add((sample_a, sample_b), traces, explain and i < EXPLAINED_SAMPLES)
            progress(i + 1, len(for_a))
        causes: list[Cause] = []
        if explain:
            from thimble.explain import explain_evidence

            work.evidence().has_real_data = data is not None
            work.evidence().has_own_inputs = data_b is not None
            causes = explain_evidence(work.evidence(), (runner_a, runner_b), work.inputs)
    report = work.report(for_a, causes)
    if isolate is not None:
        from thimble.explain.isolate import isolate_layer

        written = isolate_layer(work.evidence(), causes, report, isolate)
        report = replace(report, notes=[*report.notes, written])
    if fix is not None:
        from thimble.explain.fix import fix_model

        written = fix_model(two.model, causes, fix, for_b)
        report = replace(report, notes=[*report.notes, written])
    return report


def _functions(runner: object) -> Functions | None:
    return runner if isinstance(runner, Functions) else None


class _Work:
    """What is collected over the samples of one comparison."""

    def __init__(
        self,
        one: Side,
        two: Side,
        tolerance_lsb: float,
        functions: tuple[Functions | None, Functions | None],
    ):
        self.functions = functions
        self.one, self.two, self.tolerance_lsb = one, two, tolerance_lsb
        self.tensors_a = {t.name: t for t in one.model.graph.tensors}
        self.tensors_b = {t.name: t for t in two.model.graph.tensors}
        self.pairs: dict[str, Pair] = {}
        self.order: list[Row] = []
        self.match: Mapping[str, str] = {}
        self.only_a: list[str] = []
        self.samples = 0
        self.inputs: list[tuple[Sequence[Array], Sequence[Array]]] = []
        self._evidence: Evidence | None = None

    def evidence(self) -> Evidence:
        """The evidence of the samples so far."""
        assert self._evidence is not None
        return self._evidence

    def _begin(self, inputs: tuple[Sequence[Array], Sequence[Array]], *traces: Trace) -> None:
        trace_a, trace_b = traces
        shown_b = {**trace_b.outputs, **trace_b.tensors}
        self.match = match_tensors(
            self.one.model,
            self.two.model,
            self._meant(0, inputs[0], trace_a),
            self._meant(1, inputs[1], trace_b),
        )
        self.order = [tuple(layer) for layer in trace_b.layers]  # type: ignore[misc]
        matched = {self.match[name] for name in shown_b if name in self.match}
        self.only_a = [name for name in trace_a.tensors if name not in matched]
        self.order += [
            (len(self.order) + i, "OUTPUT", name, (name,))
            for i, name in enumerate(trace_b.outputs)
            if name not in trace_b.tensors
        ]
        self._evidence = Evidence(
            self.one.model,
            self.two.model,
            self.match,
            (self.one.runner, self.two.runner),
            self.order,
            self.functions,
        )

    def _meant(self, k: int, inputs: Sequence[Array], trace: Trace) -> dict[str, Array]:
        """What the tensors of side k should hold: a wrong runner must not spoil the matching."""
        shown = {**trace.outputs, **trace.tensors}
        side = (self.one, self.two)[k]
        if side.runner != DEFAULT_RUNNER and self.one.model is not self.two.model:
            try:
                return {**shown, **Functions(side.model).trace(inputs).tensors}
            except ThimbleError:
                return shown  # a layer without kernels: the runner's word has to do
        return shown

    def add(
        self,
        inputs: tuple[Sequence[Array], Sequence[Array]],
        traces: tuple[Trace, Trace],
        keep: bool,
    ) -> None:
        """One sample of both; `keep` its tensors for the explanation."""
        if not self.samples:
            self._begin(inputs, *traces)
        self.samples += 1
        evidence = self.evidence()
        expected = evidence.expected(inputs[1], traces[1])
        if keep:
            self.inputs.append(inputs)
            evidence.add(inputs, traces)
        shown_a = {**traces[0].outputs, **traces[0].tensors}
        for name, y in {**traces[1].outputs, **traces[1].tensors}.items():
            other = self.match.get(name)
            if other not in shown_a or other not in self.tensors_a or name not in self.tensors_b:
                continue
            x = np.asarray(shown_a[other])
            if x.size == np.size(y):
                pair = self.pairs.setdefault(
                    name, Pair(self.tensors_a[other], self.tensors_b[name])
                )
                pair.add(x.reshape(np.shape(y)), np.asarray(y), expected.get(name))

    def report(self, data: Dataset, causes: list[Cause]) -> CompareReport:
        """The layers of B with their differences. Raises BadInput where nothing matched."""
        pairs, names = self.pairs, (self.one.name, self.two.name)
        said: dict[int, str] = {}
        for cause in causes:
            said.setdefault(cause.index, f"{cause.rule}: {cause.message}")
        layers = [
            row
            for index, op, name, outputs in self.order
            if (row := _row(index, op, name, outputs, self, said.get(index))) is not None
        ]
        if not layers:
            raise BadInput(
                Finding(
                    "nothing-to-compare",
                    ", ".join(names),
                    "no tensor of one is a tensor of the other, by name or by structure",
                    "compare versions of the same model",
                )
            )
        apart = [
            (index, name, op)
            for index, op, name, outputs in self.order
            if any(not pairs[o].agrees(self.tolerance_lsb) for o in outputs if o in pairs)
        ]
        lsbs = [p.max_lsb for p in pairs.values() if p.max_lsb is not None]
        return CompareReport(
            equal=not apart,
            max_abs_lsb=max(lsbs) if lsbs else None,
            first_divergence=Divergence(*apart[0]) if apart else None,
            layers=layers,
            a=names[0],
            b=names[1],
            samples=self.samples,
            tolerance_lsb=self.tolerance_lsb,
            max_abs=max(p.max_abs for p in pairs.values()),
            only_in_a=self.only_a,
            only_in_b=[o for row in self.order for o in row[3] if o not in pairs],
            notes=[*data.notes, *self._notes()],
            causes=causes,
            provenance={
                "data": data.source,
                "values": f"measured: {names[0]} and {names[1]} on the same samples",
                "introduced": "B's layer against A's, computed by the reference on B's inputs",
                "causes": f"rules over the first {EXPLAINED_SAMPLES} samples (docs/explain.md)",
            },
            graph=self.two.model.graph,
            spreads={n: s for n, p in pairs.items() if (s := p.spread.result()) is not None},
        )

    def _notes(self) -> Iterator[str]:
        functions = self.evidence().a
        without = sum(1 for i in range(len(functions.graph.nodes)) if functions.missing(i))
        if without:
            model = self.one.model.source
            yield (
                f"introduced and inherited are not known where {model} has layers without"
                f" kernels ({without} of {len(functions.graph.nodes)})"
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
        moved = as_tensor(array, x, y).reshape(len(array), *y.shape)
        arrays.append(moved)
    names = tuple(t.name for t in input_tensors(other))
    return replace(dataset, names=names, inputs=tuple(arrays))


def _row(
    index: int, op: str, name: str, outputs: tuple[str, ...], work: _Work, cause: str | None
) -> CompareLayer | None:
    pairs = [work.pairs[o] for o in outputs if o in work.pairs]
    if not pairs:
        return None
    count = sum(p.count for p in pairs)
    signal, noise = sum(p.signal for p in pairs), sum(p.noise for p in pairs)
    lsbs = [p.max_lsb for p in pairs if p.max_lsb is not None]
    introduced = [p.introduced for p in pairs if p.introduced is not None]
    inherited = [p.inherited for p in pairs if p.inherited is not None]
    own = [p.introduced / p.scale for p in pairs if p.introduced is not None and p.scale]
    mismatched = sum(p.mismatched for p in pairs)
    return CompareLayer(
        index,
        op,
        name,
        max_abs=max(p.max_abs for p in pairs),
        max_lsb=max(lsbs) if lsbs else None,
        mean_abs=sum(p.sum_abs for p in pairs) / count if count else 0.0,
        sqnr_db=10 * math.log10(signal / noise) if signal and 0 < noise < math.inf else None,
        mismatched=mismatched,
        introduced=max(introduced) if introduced else None,
        inherited=max(inherited) if inherited else None,
        cause=cause,
        introduced_lsb=max(own) if own else None,
        mismatched_share=mismatched / count if count else 0.0,
        matched=next((work.match[o] for o in outputs if o in work.pairs), None),
    )
