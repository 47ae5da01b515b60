"""Rules about runners: what one computes otherwise than the reference, and which arithmetic it is.

Who deviates is decided by numbers: each side's layer is computed by the reference kernels from
that side's own inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from thimble.explain.causes import ROUNDING, SHOWN, Found, Rule
from thimble.explain.evidence import Evidence
from thimble.explain.guesses import judge
from thimble.explain.suspicion import suspects

ROUNDINGS = {
    "xnnpack-rounding",
    "ruy-rounding",
    "single-rounding",
    "rounding",
    "float-order",
    "hybrid-activations",
}


def verdicts(evidence: Evidence) -> dict[str, list[Found]]:
    """What is found in each layer whose runner departs from the reference, by rule."""
    if evidence.verdicts is None:
        found: dict[str, list[Found]] = {}
        for suspect in suspects(evidence):
            name, message = judge(suspect)
            proof = ROUNDING if name in ROUNDINGS else SHOWN
            mine = suspect.own.tensor.name
            place = mine if suspect.side == "b" else suspect.counterpart() or mine
            found.setdefault(name, []).append(
                Found(None, message, 1.0, proof, suspect.figures(), tensor=place)
            )
        evidence.verdicts = found
    return evidence.verdicts


def _of(name: str) -> Callable[[Evidence], Iterator[Found]]:
    def find(evidence: Evidence) -> Iterator[Found]:
        yield from verdicts(evidence).get(name, [])
        if name == "stale-memory":
            yield from evidence.repeats

    return find


def _rule(name: str, sentence: str, hint: str, repair: str | None = None) -> Rule:
    return Rule(name, sentence, hint, _of(name), repair)


_REPORT = "write the layer with --isolate and report it to the runner's authors"

RUNNER_RULES = (
    _rule("xnnpack-rounding",
          "XNNPACK, LiteRT's default, multiplies in float32 and rounds halves to even",
          "compare with @litert-ref: it is XNNPACK that differs, not TFLM and not Thimble"),
    _rule("ruy-rounding", "LiteRT's optimised kernels round halves up",
          "compare with @litert-ref, which rounds as TFLM and Thimble do"),
    _rule("single-rounding", "the runner rounds once where the reference rounds twice",
          "build it without TFLITE_SINGLE_ROUNDING, or allow 1 LSB"),
    _rule("rounding", "the runner rounds otherwise than the reference kernels",
          "allow as many LSB as the table says, or compare with @reference"),
    _rule("truncated", "the runner cuts off fractions instead of rounding them",
          "add half before the shift (docs/numerics.md)"),
    _rule("float-order", "floats are added in another order",
          "compare floats with a tolerance; no order is the right one"),
    _rule("hybrid-activations", "a hybrid layer rounds its float activations in one runner",
          "quantize the model fully to int8, or make its weights float32", "float-weights"),
    _rule("per-channel-dequantize",
          "DEQUANTIZE uses one scale where the tensor has one for each channel",
          "store these weights as float32, or quantize the layer fully", "per-channel-dequantize"),
    _rule("dynamic-batch",
          "the batch is dynamic at SPACE_TO_BATCH_ND: the runner believes the declared shape",
          "export with batch size 1", "static-batch"),
    _rule("space-to-batch-padding",
          "SPACE_TO_BATCH_ND pads int8 with 0 instead of the zero point",
          "write the dilated convolution as one layer", "dilated-convolution"),
    _rule("stale-buffer", "a tensor holds what another tensor or an earlier run left there",
          "look for overlapping buffers in the arena, or a layer that did not run"),
    _rule("stale-memory", "two runs on the same input differ",
          "look for memory that is read before it is written, or for state that is not reset"),
    _rule("output-zeroed", "the layer's output is zero", _REPORT),
    _rule("output-not-finite", "the layer's output is NaN or infinite", _REPORT),
    _rule("output-channel", "single channels of the output are wrong", _REPORT),
    _rule("output-scaled", "the output is scaled or offset", _REPORT),
    _rule("output-permuted", "the output stands in another order", _REPORT),
    _rule("runner", "the runner computes the layer otherwise than the reference", _REPORT),
)  # fmt: skip
# Rules of the files that a runner can break too, by the same names.
SHARED_RULES = (
    "activation",
    "padding",
    "dilation",
    "option",
    "operand-order",
    "bias-missing",
    "weights-mirrored",
    "zero-point",
    "saturation",
)


def runner_found(name: str) -> Callable[[Evidence], Iterator[Found]]:
    """What the runners do that bears the name of a rule of `rules_file` or `rules_quant`."""
    return _of(name)
