"""`--resume`: an interrupted evaluation goes on where it was and ends with the same figures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thimble
from thimble.cli import execute
from thimble.demo import FOLDER, load_arrays
from thimble.errors import BadInput
from thimble.report import EvaluateReport

MODEL = str(FOLDER / "keywords.tflite")
COSTS = ("latency_seconds", "cpu_percent", "peak_rss_bytes")


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    labelled = load_arrays("labelled.npz")
    return {"x": labelled["x"][:50], "y": labelled["y"][:50]}


def figures(report: EvaluateReport) -> dict[str, Any]:
    """All of a report that does not depend on time."""

    def timeless(result: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in result.items() if k not in (*COSTS, "provenance", "results")}

    found = asdict(report)
    return timeless(found) | {"results": [timeless(r) for r in found["results"]]}


class Stop(Exception):
    """What stops an evaluation in these tests."""


@pytest.mark.parametrize("stops", [(20,), (1, 49, 51, 99), (16, 32)])
def test_stopped_runs_end_like_one_run(
    stops: tuple[int, ...], data: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = str(tmp_path / "state.npz")
    runners = ["program", "reference"]
    whole = thimble.evaluate(MODEL, data, runners)
    for stop in stops:

        def tick(done: int, count: int, stop: int = stop) -> None:
            if done == stop:
                raise Stop

        with pytest.raises(Stop):
            thimble.evaluate(MODEL, data, runners, resume=path, progress=tick)
    seen: list[int] = []
    last = thimble.evaluate(
        MODEL, data, runners, resume=path, progress=lambda done, count: seen.append(done)
    )
    assert figures(last) == figures(whole)
    assert min(x for x in seen if x != 50) > stops[-1]  # 50: the first runner's all at once
    assert len(os.listdir(tmp_path)) == 1
    seen.clear()
    again = thimble.evaluate(
        MODEL, data, runners, resume=path, progress=lambda done, count: seen.append(done)
    )
    assert seen == [50, 100]  # nothing runs twice
    assert asdict(again) == asdict(last)


def test_more_samples_later(data: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = str(tmp_path / "state.npz")
    few = thimble.evaluate(MODEL, data, "program", samples=10, resume=path)
    more = thimble.evaluate(MODEL, data, "program", samples=30, resume=path)
    assert (few.samples, more.samples) == (10, 30)
    assert figures(more) == figures(thimble.evaluate(MODEL, data, "program", samples=30))
    back = thimble.evaluate(MODEL, data, "program", samples=10, resume=path)
    assert figures(back) == figures(few)


def test_a_killed_command_goes_on(data: dict[str, np.ndarray], tmp_path: Path) -> None:
    archive, state = tmp_path / "data.npz", tmp_path / "state.npz"
    count = 3000
    x = np.resize(data["x"], (count, *data["x"].shape[1:]))
    np.savez(archive, x=x, y=np.resize(data["y"], count))
    arguments = ["evaluate", MODEL, "--data", str(archive), "--on", "reference", "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "thimble", *arguments, "--resume", str(state)],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with np.load(state) as file:
        done = len(file["outputs_0"])
    assert 0 < done < count
    limit = done + 20
    seen: list[int] = []
    last = thimble.evaluate(
        MODEL,
        str(archive),
        "reference",
        samples=limit,
        resume=str(state),
        progress=lambda at, of: seen.append(at),
    )
    assert seen == list(range(done + 1, limit + 1))
    short = {"x": x[:limit], "y": np.resize(data["y"], count)[:limit]}
    assert (
        figures(last)["confusion"] == figures(thimble.evaluate(MODEL, short, "host"))["confusion"]
    )


def test_files_of_other_work_are_refused(
    data: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "state.npz")
    thimble.evaluate(MODEL, data, "program", samples=4, resume=path)
    before = Path(path).read_bytes()
    with pytest.raises(BadInput, match=r"is of keywords.tflite@program, not of"):
        thimble.evaluate(MODEL, data, "reference", samples=4, resume=path)
    other = {"x": data["x"] + np.float32(0.5), "y": data["y"]}
    with pytest.raises(BadInput, match="another data set"):
        thimble.evaluate(MODEL, other, "program", samples=4, resume=path)
    with pytest.raises(BadInput, match="another data set"):
        thimble.evaluate(MODEL, data | {"y": data["y"][::-1]}, "program", samples=4, resume=path)
    from dataclasses import replace

    small = thimble.quantize(thimble.load(MODEL), data["x"][:4], ranges="minmax")
    named = replace(small, source="keywords.tflite")
    with pytest.raises(BadInput, match="another model of that name"):
        thimble.evaluate(named, data, "program", samples=4, resume=path)
    assert Path(path).read_bytes() == before
    np.savez(tmp_path / "data.npz", **data)
    common = ["evaluate", MODEL, "--data", str(tmp_path / "data.npz"), "--resume"]
    assert execute([*common, str(tmp_path / "data.npz")]) == 2
    assert "is no file of an interrupted evaluation" in capsys.readouterr().err
    Path(path).write_bytes(before[:100])
    assert execute([*common, path]) == 2
    assert "is no file of an interrupted evaluation" in capsys.readouterr().err
    assert execute([*common, str(tmp_path)]) == 2
