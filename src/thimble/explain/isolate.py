"""The guilty layer as a file of its own, with its inputs and outputs: a bug report to send."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from thimble.errors import BadInput, Finding
from thimble.explain.evidence import Evidence
from thimble.formats.tflite import dumps
from thimble.graph import Model
from thimble.output import check_writable, write_file
from thimble.passes.compact import compact
from thimble.report import Cause, CompareReport
from thimble.runners.reference import single_node

Array = np.ndarray


def guilty_index(causes: Sequence[Cause], report: CompareReport) -> int:
    """B's layer that the first cause names, else the first that differs. Raises BadInput."""
    if causes:
        return max(causes[0].index, 0)
    if report.first_divergence is None:
        message = "no layer differs, so there is none to isolate"
        raise BadInput(Finding("nothing-to-isolate", f"{report.a}, {report.b}", message))
    return report.first_divergence.index


def layer_model(model: Model, index: int) -> tuple[Model, list[int]]:
    """A model of node `index` alone, and the tensors of `model` that are its inputs."""
    alone, runtime = single_node(model.graph, index)
    kept = compact(replace(model, graphs=(alone,), signatures=(), metadata={}))
    return replace(kept, description=f"{model.source}, {model.graph.layer(index)}"), runtime


def isolate_layer(
    evidence: Evidence,
    causes: Sequence[Cause],
    report: CompareReport,
    path: str | os.PathLike[str],
) -> str:
    """Write B's guilty layer to `path`, and beside it .npz: its inputs by name as B had them,
    `output_NAME` what B's runner made of them and `reference_NAME` what the reference kernels make.

    Returns a sentence that says so. Raises BadInput.
    """
    target = Path(path)
    index = guilty_index(causes, report)
    functions = evidence.b
    if index >= len(functions.graph.nodes):
        index = len(functions.graph.nodes) - 1
    data = target.with_suffix(".npz")
    check_writable(target)
    check_writable(data)
    model, runtime = layer_model(functions.model, index)
    names = [functions.graph.tensors[t].name for t in runtime]
    arrays: dict[str, list[Array]] = {}
    for values in evidence.values_b:
        shown = {}
        for name, t in zip(names, runtime):
            found = values.get(t)
            shown[name] = found if found is not None else functions.tensor(t, values, {})
        if any(array is None for array in shown.values()):
            continue
        given = {t: np.asarray(shown[name]) for name, t in zip(names, runtime)}
        expected = functions.layer(index, given)
        for k, t in enumerate(functions.graph.nodes[index].outputs):
            name = functions.graph.tensors[t].name
            if t in values:
                shown[f"output_{name}"] = values[t]
            if expected is not None:
                shown[f"reference_{name}"] = expected[k]
        for name, array in shown.items():
            arrays.setdefault(name, []).append(np.asarray(array))
    stream = io.BytesIO()
    np.savez(stream, **{_key(n): np.stack(v) for n, v in arrays.items()})  # type: ignore[arg-type]
    write_file(target, dumps(model))
    write_file(data, stream.getvalue())
    layer = functions.graph.layer(index)
    return f"{layer} of B written to {target}, its inputs and outputs to {data}"


def _key(name: str) -> str:
    """A tensor's name as a member of an .npz file."""
    return name.replace("/", "_") if name.startswith("/") or ".." in name else name
