"""Whether a repaired model computes what the original means, on data, before a file is written.

What the original means is what the reference runner makes of it, with the shapes that its layers
compute; where a layer has no kernels here, what LiteRT's reference kernels make of it. The
peers that are installed run the original and the file to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from thimble.errors import Finding, ThimbleError, ToolMissing, UnsupportedModel
from thimble.formats.data import Dataset
from thimble.formats.tflite import loads
from thimble.graph import Model, Tensor
from thimble.report.repair import RepairCheck
from thimble.runners import make_runner

Array = np.ndarray
Progress = Callable[[str, int, int], None]

# Of the largest value of an output: peers and NumPy add floats in other orders.
FLOAT_RTOL = 1e-5
PEERS = ("litert-ref", "tflm")
_FLOATS = ("float16", "float32", "float64")


class _Gap:
    """How far the outputs of a runner are from the expected ones, over all samples."""

    def __init__(self) -> None:
        self.max_abs = self.max_lsb = self.relative = 0.0
        self.mismatched = 0

    def add(self, wanted: Array, found: Array, tensor: Tensor) -> None:
        if found.shape != wanted.shape:
            found = found.reshape(wanted.shape)
        a, b = wanted.astype(np.float64), found.astype(np.float64)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        self.mismatched += int(np.count_nonzero(~same))
        gap = np.where(same, 0.0, np.abs(a - b))
        gap = np.where(np.isfinite(gap), gap, np.inf)
        largest = float(gap.max(initial=0.0))
        if tensor.dtype in _FLOATS:
            self.max_abs = max(self.max_abs, largest)
            scale = float(np.abs(a[np.isfinite(a)]).max(initial=0.0))
            self.relative = max(self.relative, largest / max(scale, 1e-6))
        else:
            self.max_lsb = max(self.max_lsb, largest)
            has_scale = tensor.quant is not None and len(tensor.quant.scale) == 1
            step = float(tensor.scale) if has_scale else 1.0
            self.max_abs = max(self.max_abs, largest * step)

    def is_within(self, bound_lsb: float) -> bool:
        return self.max_lsb <= bound_lsb and self.relative <= FLOAT_RTOL

    def is_worse_than(self, other: _Gap) -> bool:
        return self.max_lsb > other.max_lsb or self.relative > max(other.relative, FLOAT_RTOL)


def _run(runner: str, model: Model, dataset: Dataset) -> Iterator[Sequence[Array]]:
    with make_runner(runner, model) as opened:
        for sample in dataset:
            yield list(opened.outputs(sample).outputs.values())


def _words(error: ThimbleError) -> str:
    return error.findings[0].message


def _expected(model: Model, dataset: Dataset) -> tuple[str, list[Sequence[Array]]]:
    """(runner, outputs of every sample) of the original. Raises ThimbleError where none runs it."""
    refusals: list[Finding] = []
    for runner in ("reference", "litert-ref"):
        try:
            return runner, list(_run(runner, model, dataset))
        except (UnsupportedModel, ToolMissing) as error:
            refusals += error.findings
        except ThimbleError as error:  # the peer refused the model
            refusals += error.findings
    raise ThimbleError(
        [
            Finding(
                "not-verified",
                model.source,
                "nothing here runs the original, so no repair can be verified",
                "the findings that follow say why",
            ),
            *refusals,
        ]
    )


def _gap(
    runner: str, model: Model, dataset: Dataset, expected: list[Sequence[Array]]
) -> tuple[_Gap | None, str]:
    """The runner's distance from what is expected; None, and why, where it does not run."""
    gap = _Gap()
    tensors = [model.graph.tensors[t] for t in model.graph.outputs]
    try:
        for wanted, found in zip(expected, _run(runner, model, dataset)):
            for a, b, tensor in zip(wanted, found, tensors, strict=True):
                gap.add(a, b, tensor)
    except ThimbleError as error:
        return None, _words(error)
    return gap, ""


def computes_in_float(model: Model) -> bool:
    """Whether a layer makes float32: the last bits of floats may move an integer by one step."""
    graph = model.graph
    made = [graph.tensors[t] for node in graph.nodes for t in node.outputs if t >= 0]
    return any(t.dtype in _FLOATS for t in made)


def verify(
    original: Model,
    content: bytes,
    dataset: Dataset,
    bound_lsb: float,
    progress: Progress = lambda runner, done, count: None,
) -> list[RepairCheck]:
    """One row for each runner; `content` is the file of the repaired model.

    Raises ThimbleError with a finding for every runner on which it is not what the original means:
    where floats differ by more than `FLOAT_RTOL` of the largest value or integers by more than
    `bound_lsb` steps, and by more than the original did there; or which no longer runs it.
    """
    if computes_in_float(original):
        bound_lsb = max(bound_lsb, 1.0)
    written = loads(content, original.source)
    progress("reference", 0, 1 + len(PEERS))
    judge, expected = _expected(original, dataset)
    rows: list[RepairCheck] = []
    findings: list[Finding] = []
    names = list(dict.fromkeys([judge, *PEERS]))
    for done, runner in enumerate(names):
        progress(runner, done, len(names))
        with suppress(ToolMissing):
            row = _check(runner, original, written, dataset, expected, bound_lsb, findings)
            rows += [row] if row is not None else []
    if findings:
        raise ThimbleError(findings)
    return rows


def _check(
    runner: str,
    original: Model,
    written: Model,
    dataset: Dataset,
    expected: list[Sequence[Array]],
    bound_lsb: float,
    findings: list[Finding],
) -> RepairCheck | None:
    """The row of one runner; what is wrong is added to `findings`."""
    with make_runner(runner, written):
        pass  # raises ToolMissing before any work is done
    before, refused = _gap(runner, original, dataset, expected)
    after, refuses = _gap(runner, written, dataset, expected)
    where = f"{original.source} on {runner}"
    if after is None:
        if before is not None:
            message = f"it runs the original and refuses the repaired model: {refuses}"
            findings.append(Finding("repair-differs", where, message, _HINT))
        return RepairCheck(runner, None, None, None, None, None, None, False, refuses)
    passed = after.is_within(bound_lsb)
    if not passed and (before is None or after.is_worse_than(before)):
        message = (
            f"the repaired model differs from the original by {after.max_lsb:g} steps of the"
            f" quantized outputs and {after.relative:.3g} of the largest float"
            f" ({after.mismatched} values in {len(dataset)} samples)"
        )
        findings.append(Finding("repair-differs", where, message, _HINT))
    return RepairCheck(
        runner,
        None if before is None else before.max_abs,
        None if before is None else before.max_lsb,
        None if before is None else before.mismatched,
        after.max_abs,
        after.max_lsb,
        after.mismatched,
        passed,
        f"refused the original: {refused}" if before is None else "",
    )


_HINT = "nothing is written; choose repairs with --only, or allow it with --tolerance-lsb"
