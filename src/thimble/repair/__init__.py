"""Named repairs of models, each exact or with a bound, all verified on data.

repaired = repair("model.tflite")            # what is wrong with it for a microcontroller
repaired = repair(model, ["depthwise-form"])  # what is asked for
repaired.report, repaired.model
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from thimble.errors import BadInput, Finding, InvalidModel
from thimble.formats import is_tflite, load_model
from thimble.formats.data import as_dataset
from thimble.formats.tflite import dumps
from thimble.graph import Model
from thimble.invariants import check_model
from thimble.output import write_file
from thimble.passes.compact import compact
from thimble.repair import (
    builtin_code,
    convolution_form,
    depthwise_form,
    dilated_convolution,
    down_level,
    float_weights,
    fold_shape_arithmetic,
    fuse_bias,
    merge_requantize,
    per_channel_dequantize,
    remove_requantize_pairs,
    static_batch,
    strip_metadata,
    strip_unused,
)
from thimble.repair.contract import Place, Repair, changed_layers
from thimble.repair.verify import Progress, verify
from thimble.report.repair import AppliedRepair, RepairEntry, RepairList, RepairReport

# In the order in which they run; the order that is asked for does not matter.
REPAIRS: Sequence[Repair] = (
    builtin_code.REPAIR,
    strip_unused.REPAIR,  # before the others, which leave unused parts of their own
    static_batch.REPAIR,
    fold_shape_arithmetic.REPAIR,
    per_channel_dequantize.REPAIR,
    float_weights.REPAIR,
    dilated_convolution.REPAIR,
    fuse_bias.REPAIR,  # behind BATCH_TO_SPACE_ND lies the bias of the convolution
    remove_requantize_pairs.REPAIR,
    merge_requantize.REPAIR,
    depthwise_form.REPAIR,
    convolution_form.REPAIR,
    down_level.REPAIR,  # behind what makes new layers
    strip_metadata.REPAIR,
)


@dataclass(frozen=True, eq=False)
class Repaired:
    """The model after its repairs, the .tflite file of it, and the report on them.

    Where nothing was to be done these are the original's.
    """

    model: Model
    content: bytes
    report: RepairReport

    def save(self, path: str) -> None:
        """Write the .tflite file: complete or not at all. Raises BadInput."""
        write_file(path, self.content)


def chosen(only: Sequence[str] | None) -> list[Repair]:
    """The repairs called `only`, in the order in which they run; None: all that mend something.

    Raises BadInput for unknown names.
    """
    if only is None:
        return [repair for repair in REPAIRS if not repair.by_name]
    known = [repair.name for repair in REPAIRS]
    findings = []
    for name in only:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"known repairs: {', '.join(known)}"
            findings.append(
                Finding("unknown-repair", f"repair `{name}`", "there is no such repair", hint)
            )
    if findings:
        raise BadInput(findings)
    return [repair for repair in REPAIRS if repair.name in only]


def apply(model: Model, repairs: Sequence[Repair]) -> tuple[Model, list[AppliedRepair]]:
    """`model` after each of `repairs`, and those that found something to do. Nothing is verified.

    Raises InvalidModel when one breaks a rule of `thimble.invariants` (a bug of ours).
    """
    labels = {
        (node.op.name, g, node.outputs): _label(model, g, i)
        for g, graph in enumerate(model.graphs)
        for i, node in enumerate(graph.nodes)
    }

    def shown(place: Place, of: Model) -> str:
        """The layer as the original numbers it; what a repair has made has no number."""
        if isinstance(place, str):
            return place
        g, node = place
        name = of.graphs[g].tensors[node.outputs[0]].name if node.outputs else ""
        return labels.get((node.op.name, g, node.outputs), f"{node.op.name} `{name}`")

    applied: list[AppliedRepair] = []
    current = model
    for repair in repairs:
        after = repair.rewrite(current)
        if after is current:
            continue
        if findings := check_model(after):
            raise InvalidModel(findings)
        where = repair.where(current, after) if repair.where else changed_layers(current, after)
        places = tuple(dict.fromkeys(shown(place, current) for place in where))
        applied.append(AppliedRepair(repair.name, repair.mends, repair.bound, places))
        current = after
    return (compact(current) if applied else model), applied


def _label(model: Model, graph: int, layer: int) -> str:
    place = model.graphs[graph].layer(layer)
    return place if len(model.graphs) == 1 else f"subgraph {graph}, {place}"


def repair(
    model: Any,
    only: Sequence[str] | None = None,
    data: Any = None,
    *,
    samples: int | None = None,
    tolerance_lsb: float = 0.0,
    runtime: str | None = None,
    progress: Progress = lambda runner, done, count: None,
) -> Repaired:
    """`model` (or the path of one) with its faults mended, verified on `data`.

    only: names of `REPAIRS`; None: every one that mends something (the others, such as
        "depthwise-form", have to be asked for).
    data: as everywhere; None: seeded random samples over the input's range.
    tolerance_lsb: steps by which quantized outputs may move, beyond the bounds of the repairs.

    runtime: a TensorFlow release, "2.4": "down-level" runs too, for that one.

    Raises BadInput for unknown names and data that do not fit, ThimbleError with findings where the
    repaired model is not what the original means (nothing is returned then).
    """
    repairs = chosen(only)
    if runtime is not None:
        repairs = _for_runtime(repairs, runtime)
    loaded = load_model(model)
    dataset = as_dataset(data, loaded).first(samples)
    mended, applied = apply(loaded, repairs)
    file = _file(model)
    if not applied:
        report = RepairReport(loaded.source, (), layers_before=_layers(loaded))
        return Repaired(loaded, dumps(loaded) if file is None else file, report)
    used = [r for r in repairs if r.name in [a.name for a in applied]]
    bound = max([tolerance_lsb, *(r.bound_lsb for r in used)])
    content = dumps(mended)
    rows = verify(loaded, content, dataset, bound, progress)
    report = RepairReport(
        loaded.source,
        applied,
        rows,
        samples=len(dataset),
        layers_before=_layers(loaded),
        layers_after=_layers(mended),
        bytes_before=None if file is None else len(file),
        bytes_after=len(content),
        provenance={
            "data": dataset.source,
            "verification": f"outputs beside what the original gives on {rows[0].runner}",
        },
    )
    return Repaired(mended, content, report)


def _for_runtime(repairs: Sequence[Repair], runtime: str) -> list[Repair]:
    """The repairs with "down-level" among them, for that release. Raises BadInput."""
    special = down_level.for_runtime(runtime)
    names = [*(r.name for r in repairs), special.name]
    return [special if r.name == special.name else r for r in REPAIRS if r.name in names]


def _file(model: Any) -> bytes | None:
    """The bytes of the .tflite file that the caller named; None for other things."""
    if not isinstance(model, (str, os.PathLike)) or not is_tflite(model):
        return None
    return Path(model).read_bytes()


def _layers(model: Model) -> int:
    return sum(len(graph.nodes) for graph in model.graphs)


def list_repairs() -> RepairList:
    """What there is, as a report."""
    return RepairList([RepairEntry(r.name, r.mends, r.bound, r.by_name) for r in REPAIRS])


def markdown() -> str:
    """docs/repair.md."""
    rows = [
        f"| `{r.name}` | {'by name' if r.by_name else 'always'} | {r.bound} | {r.mends} |"
        for r in REPAIRS
    ]
    return "\n".join([*_INTRODUCTION, *rows, ""])


_INTRODUCTION = """\
# Repairs

The table is generated by `thimble repair --write docs/repair.md` from the repairs themselves.

```bash
thimble repair model.tflite -o repaired.tflite                          # what is wrong with it
thimble repair model.tflite -o repaired.tflite --only depthwise-form    # what is asked for
```

`thimble.repair(model)` does the same in Python: `.model`, `.content` (the file's bytes), `.report`.

Every repair names the layers where it acted. Before a file is written the repaired model runs
beside the original on samples (`--data`, or seeded random ones): on the reference runner, and as
the very bytes of the file on LiteRT's reference kernels and TensorFlow Lite Micro where they are
installed. What the original means is what the reference runner makes of it, with the shapes that
its layers compute; where a layer has no kernels here, what LiteRT makes of it. Integers must agree
bit for bit (within the bound of the repair, and within one step where layers compute in float),
floats within 1e-5 of the largest value. A runner may differ no more than it did on the original.
Where that fails nothing is written and the exit status is 1.

| repair | runs | values | mends |
|---|---|---|---|""".splitlines()
