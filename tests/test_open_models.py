"""Every open model that we support computes what TFLM (else LiteRT's reference) computes."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import SHARED
from open_models import check, judge, model_files
from peers import require

FILES = model_files(SHARED / "data") if SHARED.exists() else []
# What the compared models may not fall below: a model that becomes unsupported must not go unseen.
LEAST_SUPPORTED = 150


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_runners_agree_with_the_peer(path: Path) -> None:
    require("tflm")
    require("litert")
    outcome = check(path, inputs=3, slow_inputs=1)
    assert not judge(outcome)


def test_enough_models_are_supported(shared: Path) -> None:
    from open_models import supported

    from thimble.errors import ThimbleError
    from thimble.formats.tflite import load

    found = 0
    for path in model_files(shared / "data"):
        try:
            found += not supported(load(path))[1]
        except ThimbleError:
            continue
    assert found >= LEAST_SUPPORTED
