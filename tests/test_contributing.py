"""CONTRIBUTING.md's "Add an op" works as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from peers import require

from thimble.ops import find

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"```\w+ title=(\S+)\n(.*?)```", re.S)


def test_the_steps_that_add_an_op_add_it(tmp_path: Path) -> None:
    require("litert")
    for folder in ("src", "tests"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    blocks = _BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text())
    assert len(blocks) == 3
    assert find("L2_NORMALIZATION") is None  # else the example has to be another op
    for path, text in blocks:
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text)
    test = next(path for path, _ in blocks if path.startswith("tests/"))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path / 'tests'}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    listed = subprocess.run(
        [sys.executable, "-m", "thimble", "ops"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "L2_NORMALIZATION" in listed.stdout
