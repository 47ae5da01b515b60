"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of models, data sets and golden outputs beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip("NO SHARED DATA: ../shared is absent, the real-model tests do not run")
    return SHARED
