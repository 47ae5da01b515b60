"""Whether two models compute the same function: shown on their graphs, else measured on samples.

Both graphs go through the exact passes, which fold shape arithmetic, fuse activations and write
convolutions in one form. Equal graphs with equal constants are the same function. What the
passes do not make equal is run on seeded samples by the reference runner.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.errors import ThimbleError
from thimble.graph import Graph, Model, Quant, Tensor
from thimble.invariants import RAW_DTYPES
from thimble.structure.golden import golden_inputs, golden_outputs, too_costly

SAMPLES = 4
SCALE_ROUNDING = 1e-6  # relative: the last bits of a float32 scale
FLOAT_ROUNDING = 1e-5  # of the largest output: order of additions

EXACT, SCALES, OTHER = 0, 1, 2  # how alike two graphs of the same layers are

Array = np.ndarray


@dataclass(frozen=True)
class Verdict:
    """same: whether it is one function (None: not known). `words` say how that was found."""

    same: bool | None
    words: str


def same_function(base: Model, new: Model) -> Verdict:
    """Whether `new` computes the function of `base`, and how that was found."""
    from thimble.passes import run_passes
    from thimble.support import runnable

    try:
        with np.errstate(all="ignore"):
            graphs = [run_passes(runnable(model)).graph for model in (base, new)]
    except ThimbleError:
        graphs = []
    alike = None
    if graphs and len(base.graphs) == len(new.graphs) == 1:
        alike = equal_graphs(graphs[0], graphs[1])
    if alike == EXACT:
        return Verdict(True, "the same layers and constants once shapes are folded")
    measured = _measured(base, new)
    if alike == SCALES:
        words = "the same layers and constants, scales equal to 1e-6"
        return Verdict(True, f"{words}; {measured.words}")
    if alike == OTHER:
        words = "the same layers with other constants or scales"
        return Verdict(False, f"{words}; {measured.words}")
    return measured


def equal_graphs(a: Graph, b: Graph) -> int | None:
    """EXACT, SCALES (they differ in their last bits), OTHER (other constants or scales), or None
    where layers, options, shapes or wiring differ.
    """
    if len(a.nodes) != len(b.nodes) or len(a.inputs) != len(b.inputs):
        return None
    if len(a.outputs) != len(b.outputs):
        return None
    twin: dict[int, int] = {-1: -1}
    worst = EXACT

    def pair(x: int, y: int) -> bool:
        nonlocal worst
        if x in twin or x < 0 or y < 0:
            return twin.get(x) == y
        likeness = _likeness(a.tensors[x], b.tensors[y])
        if likeness is None:
            return False
        worst = max(worst, likeness)
        twin[x] = y
        return True

    if not all(pair(x, y) for x, y in zip(a.inputs, b.inputs)):
        return None
    for one, other in zip(a.nodes, b.nodes):
        if one.op.name != other.op.name or len(one.outputs) != len(other.outputs):
            return None
        reads, others = list(one.inputs), list(other.inputs)
        if one.op.is_alias:  # the output's shape says the rest
            reads, others = reads[:1], others[:1]
        elif not _same_options(one.op, other.op) or len(reads) != len(others):
            return None
        tensors = [*zip(reads, others), *zip(one.outputs, other.outputs)]
        if not all(pair(x, y) for x, y in tensors):
            return None
    return worst if all(pair(x, y) for x, y in zip(a.outputs, b.outputs)) else None


def _same_options(a: object, b: object) -> bool:
    if not (dataclasses.is_dataclass(a) and dataclasses.is_dataclass(b)) or type(a) is not type(b):
        return False
    return all(repr(getattr(a, f.name)) == repr(getattr(b, f.name)) for f in dataclasses.fields(a))


def _likeness(a: Tensor, b: Tensor) -> int | None:
    if a.dtype != b.dtype or a.shape != b.shape or a.is_variable != b.is_variable:
        return None
    if (a.data is None) != (b.data is None) or "sparsity" in a.extra or "sparsity" in b.extra:
        return None
    if a.data is not None and b.data is not None and a.data.tobytes() != b.data.tobytes():
        return OTHER
    if a.dtype.startswith("float"):
        return EXACT
    return _quant_likeness(a.quant, b.quant)


def _quant_likeness(a: Quant | None, b: Quant | None) -> int:
    if a is None or b is None:
        return EXACT if a is b else OTHER
    if a.details is not None or b.details is not None or len(a.scale) != len(b.scale):
        return OTHER
    if not np.array_equal(a.zero_point, b.zero_point) or (a.is_per_channel and a.axis != b.axis):
        return OTHER
    if np.array_equal(a.scale, b.scale):
        return EXACT
    with np.errstate(all="ignore"):
        close = np.abs(a.scale - b.scale) <= SCALE_ROUNDING * np.abs(a.scale)
    return SCALES if bool(close.all()) else OTHER


def _measured(base: Model, new: Model) -> Verdict:
    """Both on the same seeded samples."""
    ports = [[m.graph.tensors[t] for t in m.graph.inputs] for m in (base, new)]
    if [t.shape for t in ports[0]] != [t.shape for t in ports[1]]:
        return Verdict(False, "their inputs have different shapes")
    if odd := sorted({t.dtype for port in ports for t in port} & RAW_DTYPES):
        return Verdict(None, f"not run on samples: there are none of dtype {odd[0]}")
    for model in (base, new):
        if reason := too_costly(model):
            return Verdict(None, f"not run on samples: {reason}")
    try:
        samples = [golden_inputs(base, k) for k in range(SAMPLES)]
        others = [
            [_converted(x, old, now) for x, old, now in zip(sample, *ports)] for sample in samples
        ]
        before, after = golden_outputs(base, samples), golden_outputs(new, others)
    except ThimbleError as error:
        return Verdict(None, f"not run on samples: {error.findings[0].message}")
    return _compared(base, new, before, after)


def _converted(values: Array, old: Tensor, new: Tensor) -> Array:
    """A sample of `old` as the input `new` takes it: dequantized, quantized or as it is."""
    if old.dtype == new.dtype:
        return values
    real = values.astype(np.float64)
    if old.quant is not None and len(old.quant.scale) == 1:
        real = (real - old.zero_point) * float(old.scale)
    is_quantized = new.quant is not None and len(new.quant.scale) == 1 and float(new.scale) > 0
    if is_quantized and np.dtype(new.dtype).kind in "iu":
        info = np.iinfo(new.dtype)
        steps = np.round(real / float(new.scale)) + new.zero_point
        return np.clip(steps, info.min, info.max).astype(new.dtype)
    return real.astype(new.dtype)


def _real(values: Array, tensor: Tensor) -> Array:
    real = values.astype(np.float64)
    if tensor.quant is not None and len(tensor.quant.scale) == 1:
        return (real - tensor.zero_point) * float(tensor.scale)
    return real


def _compared(
    base: Model,
    new: Model,
    before: Sequence[Sequence[Array]],
    after: Sequence[Sequence[Array]],
) -> Verdict:
    """The verdict on the outputs of all samples: equal bits for integers, rounding for floats."""
    ports = [[m.graph.tensors[t] for t in m.graph.outputs] for m in (base, new)]
    if [x.shape for x in before[0]] != [x.shape for x in after[0]]:
        return Verdict(False, "their outputs have different shapes")
    on = f"on {len(before)} seeded samples"
    if [t.dtype for t in ports[0]] != [t.dtype for t in ports[1]]:
        return Verdict(False, f"the outputs have other dtypes; {_noise(ports, before, after)} {on}")
    worst = 0.0
    unit = "LSB"
    same = True
    for k, tensor in enumerate(ports[0]):
        x = np.stack([outputs[k] for outputs in before])
        y = np.stack([outputs[k] for outputs in after])
        if tensor.dtype.startswith("float"):
            unit = "of the largest output"
            largest = float(np.nanmax(np.abs(x), initial=0.0)) or 1.0
            gap = np.abs(x.astype(np.float64) - y.astype(np.float64))
            equal = np.isclose(x, y, rtol=0, atol=FLOAT_ROUNDING * largest, equal_nan=True)
            worst = max(worst, float(np.nanmax(gap, initial=0.0)) / largest)
            same = same and bool(equal.all())
        else:
            gap = np.abs(x.astype(np.int64) - y.astype(np.int64))
            worst = max(worst, float(gap.max(initial=0)))
            same = same and not gap.any()
    if same and not any(_varies([outputs[k] for outputs in before]) for k in range(len(ports[0]))):
        return Verdict(None, f"the outputs are equal and do not depend on the input {on}")
    if same:
        return Verdict(True, f"equal outputs {on}")
    return Verdict(False, f"outputs differ by up to {worst:.3g} {unit} {on}")


def _varies(outputs: Sequence[Array]) -> bool:
    return any(outputs[0].tobytes() != other.tobytes() for other in outputs[1:])


def _noise(
    ports: Sequence[Sequence[Tensor]],
    before: Sequence[Sequence[Array]],
    after: Sequence[Sequence[Array]],
) -> str:
    """How well outputs of another dtype agree, as a signal to noise ratio."""
    signal = noise = 0.0
    for k, (old, new) in enumerate(zip(*ports)):
        for x, y in zip(before, after):
            a, b = _real(x[k], old), _real(y[k], new)
            signal += float(np.square(a).sum())
            noise += float(np.square(a - b).sum())
    if noise == 0:
        return "their real values are equal"
    if not (np.isfinite(signal) and np.isfinite(noise)) or signal == 0:
        return "their real values differ"
    return f"their real values agree to {10 * np.log10(signal / noise):.1f} dB"
