"""Golden vectors in a lock: digests where bits are the same on every machine, else values.

A model computes the same bits everywhere when no layer but QUANTIZE and DEQUANTIZE has float
values. For others some values of each output are kept to four digits, and compared with a
tolerance, as libm and the order of additions differ from machine to machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from thimble.errors import ThimbleError
from thimble.graph import Model
from thimble.policy.contract import Subject
from thimble.structure.facts import clean, digest
from thimble.structure.golden import SEED, golden_inputs, golden_outputs, too_costly

SAMPLES = 2
SLOW_MACS = 20_000_000  # from here on one sample: a lock is to take less than a second
KEPT = 8  # values of a float output and sample
DIGITS = 4
TOLERANCE = 1e-3  # of the largest value of the output
STEPS = 1  # by which integers behind float layers may differ
EXACT_OPS = frozenset({"QUANTIZE", "DEQUANTIZE"})

Array = np.ndarray


def is_exact(model: Model) -> bool:
    """Whether every machine computes the same bits."""
    graph = model.graph
    return all(
        node.op.name in EXACT_OPS
        or not any(graph.tensors[t].dtype.startswith(("float", "bfloat")) for t in node.outputs)
        for node in graph.nodes
    )


def golden_rows(subject: Subject) -> dict[str, Any]:
    """The table `golden` of a lock: outputs of seeded samples, or why there are none."""
    model = subject.model
    reason = too_costly(model)
    outputs: list[list[Array]] = []
    if not reason:
        try:
            count = 1 if subject.macs > SLOW_MACS else SAMPLES
            outputs = golden_outputs(model, [golden_inputs(model, k) for k in range(count)])
        except ThimbleError as error:
            reason = error.findings[0].message
    if reason:
        return {"samples": 0, "reason": clean(reason)}
    exact = is_exact(model)
    rows = []
    for k, t in enumerate(model.graph.outputs):
        tensor = model.graph.tensors[t]
        arrays = [np.asarray(sample[k]) for sample in outputs]
        row: dict[str, Any] = {"name": clean(tensor.name), "dtype": tensor.dtype}
        if exact:
            row["sha256"] = [digest(_little(array)) for array in arrays]
        else:
            row["largest"] = rounded(max(_largest(array) for array in arrays))
            row["values"] = [[rounded(v) for v in _kept(array)] for array in arrays]
        rows.append(row)
    return {"samples": len(outputs), "seed": SEED, "outputs": rows}


def _little(array: Array) -> bytes:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return np.ascontiguousarray(little).tobytes()


def _largest(array: Array) -> float:
    finite = array.astype(np.float64)[np.isfinite(array.astype(np.float64))]
    return float(np.abs(finite).max(initial=0.0))


def _kept(array: Array) -> list[float]:
    flat = array.reshape(-1).astype(np.float64)
    places = np.linspace(0, flat.size - 1, min(KEPT, flat.size)).astype(np.int64)
    return [float(value) for value in flat[places]]


def rounded(value: float) -> float:
    """`value` to four significant digits."""
    return float(f"{value:.{DIGITS}g}")


def golden_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What the golden vectors of a lock and of a model do not agree in. A lock without any, of a
    model that could not be run, agrees with everything.
    """
    if not old.get("samples"):
        return
    if not new.get("samples"):
        yield f"there are none now: {new.get('reason')}"
        return
    if old.get("seed") != new.get("seed"):
        yield f"the seed is {old.get('seed')!r}, not {new.get('seed')!r}"
        return
    before, after = old.get("outputs"), new["outputs"]
    if not isinstance(before, list) or len(before) != len(after):
        count = len(before) if isinstance(before, list) else 0
        yield f"the lock has {count} outputs, the model {len(after)}"
        return
    for one, other in zip(before, after):
        if isinstance(one, Mapping):
            yield from _output(one, other)
        else:
            yield f"output `{other['name']}` has no table in the lock"


def _output(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    name = f"output `{new['name']}`"
    if "sha256" in new and "sha256" in old:
        wrong = [k for k, bits in enumerate(new["sha256"]) if _item(old["sha256"], k) != bits]
        if wrong:
            samples = ", ".join(str(k) for k in wrong)
            yield f"{name} has other bits for seeded sample {samples}"
    elif "values" in new and "values" in old:
        for k, after in enumerate(new["values"]):
            before = _item(old["values"], k)
            worst = _apart(before, after)
            allowed = TOLERANCE * max(_number(old.get("largest")), _number(new.get("largest")))
            if not new["dtype"].startswith(("float", "bfloat")):
                allowed = max(allowed, STEPS)
            if not worst <= allowed:
                yield f"{name} is {worst:.3g} apart for seeded sample {k}, {allowed:.3g} allowed"
    else:
        yield f"{name} was kept as {'digests' if 'sha256' in old else 'values'} and is not now"


def _item(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _apart(before: Any, after: list[float]) -> float:
    if not isinstance(before, list) or len(before) != len(after):
        return float("inf")
    worst = 0.0
    for x, y in zip(before, after):
        if not isinstance(x, (int, float)):
            return float("inf")
        same = x == y or (np.isnan(x) and np.isnan(y))
        gap = 0.0 if same else abs(float(x) - y)
        worst = gap if np.isnan(gap) else max(worst, gap)
        if np.isnan(worst):
            return float("inf")
    return worst
