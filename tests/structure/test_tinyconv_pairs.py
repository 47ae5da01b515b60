"""Sixteen files of one tiny convolution: what `check --like` says follows from their names.

tinyconv_{keras,tfnn}_{conv2d,depthwise}_{b1,dyn}_{float,int8}.tflite: the same weights as CONV_2D
or DEPTHWISE_CONV_2D, static or dynamic batch, float or int8. Keras computes its dynamic shapes with
SHAPE, STRIDED_SLICE and PACK.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import pytest

import thimble
from thimble.graph import Model
from thimble.structure.changes import model_changes
from thimble.structure.facts import model_facts
from thimble.structure.function import same_function

CONVOLUTIONS = {"conv2d": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D"}
# what other names, converter versions and op versions bring along in any pair
ACCOMPANYING = {"changed-name", "changed-converter", "changed-signature", "changed-version"}


class Traits(NamedTuple):
    """What a file's name says."""

    frontend: str
    op: str
    batch: str
    dtype: str

    @property
    def computes_shapes(self) -> bool:
        return self.frontend == "keras" and self.batch == "dyn"


ALL = [
    Traits(*parts)
    for parts in itertools.product(
        ("keras", "tfnn"), CONVOLUTIONS, ("b1", "dyn"), ("float", "int8")
    )
]


def path_of(shared: Path, traits: Traits) -> str:
    return str(shared / "data" / "structure" / f"tinyconv_{'_'.join(traits)}.tflite")


def expected_rules(base: Traits, new: Traits) -> set[str]:
    """The kinds of change beyond names and versions."""
    rules = set()
    if base.op != new.op:
        rules.add("changed-op")
    if base.dtype != new.dtype:
        rules.add("changed-dtype")
    if base.batch != new.batch:
        rules.add("changed-dynamic")
    if base.computes_shapes != new.computes_shapes:
        rules |= {"added-layer" if new.computes_shapes else "removed-layer", "changed-wiring"}
    return rules


@pytest.fixture(scope="module")
def models(shared: Path) -> dict[Traits, Model]:
    return {traits: thimble.load(path_of(shared, traits)) for traits in ALL}


@pytest.mark.parametrize("base", ALL, ids="_".join)
def test_exactly_what_changed_is_named(base: Traits, models: dict[Traits, Model]) -> None:
    for new in ALL:
        changes = model_changes(model_facts(models[base]), model_facts(models[new]), 0.01)
        found = {change.kind for change in changes} - ACCOMPANYING
        assert found == expected_rules(base, new), (base, new)
        ops = [c.message for c in changes if c.kind == "changed-op"]
        if base.op != new.op:
            [message] = ops
            assert f"{CONVOLUTIONS[base.op]} became {CONVOLUTIONS[new.op]}" in message
            assert ("the same function" in message) == (base.dtype == new.dtype)
        dtypes = [c.message for c in changes if c.kind == "changed-dtype"]
        if base.dtype != new.dtype:
            weights = [text for text in dtypes if text.startswith("weights")]
            assert len(weights) == 2  # of the convolution and of the fully connected layer
            assert all("the same values rounded" in text for text in weights)
        if base.batch != new.batch:
            [dynamic] = [c for c in changes if c.kind == "changed-dynamic"]
            became = "static became dynamic" if new.batch == "dyn" else "dynamic became static"
            assert became in dynamic.message


@pytest.mark.parametrize("base", ALL, ids="_".join)
def test_the_same_function_or_not(base: Traits, models: dict[Traits, Model]) -> None:
    for new in ALL:
        verdict = same_function(models[base], models[new])
        assert verdict.same is (base.dtype == new.dtype), (base, new, verdict.words)


@pytest.mark.parametrize("new", ALL[::3], ids="_".join)
def test_exit_status(new: Traits, models: dict[Traits, Model]) -> None:
    base = ALL[0]
    report = thimble.check(models[new], like=models[base])
    assert bool(report.errors) == bool(expected_rules(base, new))
    assert report.same_function is (base.dtype == new.dtype)
