"""Every verb: its example works, its JSON has the promised fields, bad input ends in findings."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from thimble.cli import VERBS, execute
from thimble.demo import FOLDER, load_arrays
from thimble.support import runnable

INT8 = "model_int8.tflite"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name, and model_int8.tflite."""
    folder = tmp_path_factory.mktemp("cli")
    shutil.copy(FOLDER / "keywords.tflite", folder / "model.tflite")
    labelled = load_arrays("labelled.npz")
    np.savez(folder / "data.npz", x=labelled["x"][:12], y=labelled["y"][:12])
    arguments = ["model.tflite", "--data", "data.npz", "-o", INT8, "-q", "--ranges", "minmax"]
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert execute(["quantize", *arguments]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    return workplace


def example_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert execute([verb, "--help"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("Example: thimble ")
    return first.removeprefix("Example: thimble ")


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "demo"])
def test_the_example_in_the_help_works(
    verb: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb == "bench":
        needs_emulator()
    status = execute([*shlex.split(example_of(verb, capsys)), "-q"])
    output = capsys.readouterr()
    assert status == 0, output.err
    assert output.out.strip()
    assert output.err == ""


def needs_emulator() -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("EMULATOR MISSING: qemu-system-arm is not installed")


FIELDS = {
    "build": ["model", "target", "macs", "ram", "flash", "verification", "layers", "plan"],
    "run": ["outputs", "sha256"],
    "compare": ["equal", "max_abs_lsb", "first_divergence", "layers"],
    "plan": [
        *["arena_bytes", "bound_bytes", "optimal", "strategy", "state_bytes", "tensors"],
        "peak_step",
    ],
    "evaluate": [
        *["samples", "accuracy", "top5", "auc", "confusion", "latency_seconds", "cpu_percent"],
        "peak_rss_bytes",
    ],
    "bench": ["results"],
}
INNER = {
    "build": {
        "ram": ["arena_bytes", "state_bytes", "stack_bytes"],
        "flash": ["weights_bytes", "code_bytes"],
        "verification": ["against", "samples", "max_abs_lsb", "mismatched"],
        "plan": ["strategy", "bound_bytes", "optimal"],
        "layers": [
            *["index", "op", "name", "kernel", "specialised", "macs", "weights_bytes"],
            "output_bytes",
        ],
    },
    "compare": {
        "layers": [
            *["index", "op", "name", "max_abs", "max_lsb", "mean_abs", "sqnr_db", "mismatched"],
            *["introduced", "inherited", "cause"],
        ]
    },
    "plan": {"tensors": ["name", "bytes", "offset", "first", "last", "region"]},
    "evaluate": {"latency_seconds": ["median", "p95"]},
    "bench": {
        "results": [
            *["model", "runner", "target", "instructions", "seconds", "arena_bytes"],
            *["state_bytes", "stack_bytes", "code_bytes", "weights_bytes", "output_sha256"],
            "layers",
        ]
    },
}
COMMANDS = {
    "build": [INT8, "--target", "host"],
    "run": [INT8, "--on", "program", "--input", "data.npz", "--samples", "2"],
    "compare": [INT8, f"{INT8}@program", "--data", "data.npz", "--samples", "2"],
    "plan": [INT8],
    "evaluate": [INT8, "--data", "data.npz", "--on", "host"],
    "bench": [INT8, "--on", "host,program", "--repeats", "10"],
}


@pytest.mark.parametrize("verb", FIELDS)
def test_json_is_alone_on_stdout_and_has_its_fields(
    verb: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([verb, *COMMANDS[verb], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(FIELDS[verb]) <= set(report)
    for field, names in INNER.get(verb, {}).items():
        value = report[field][0] if isinstance(report[field], list) else report[field]
        assert set(names) <= set(value), field
    assert "provenance" in report or "provenance" in report["results"][0]


BAD = {
    "missing file": (["inspect", "nothing.tflite"], 2, "no-file"),
    "a folder": (["plan", "."], 2, "no-file"),
    "not a model": (["plan", "data.npz"], 1, "not-tflite"),
    "empty file": (["build", "empty.tflite"], 1, "empty"),
    "cut file": (["inspect", "cut.tflite"], 1, ""),
    "unknown verb": (["complie", "x"], 2, "no verb"),
    "unknown option": (["plan", INT8, "--fast"], 2, "No such option"),
    "unknown target": (["build", INT8, "--target", "cortex-m99"], 2, "cortex-m55"),
    "unknown runner": (["run", INT8, "--on", "gpu"], 2, "reference"),
    "unknown runner in compare": (["compare", INT8, f"{INT8}@gpu"], 2, "unknown-runner"),
    "unknown runner in bench": (["bench", INT8, "--on", "host,gpu"], 2, "unknown-runner"),
    "unknown strategy": (["plan", INT8, "--strategy", "magic"], 2, "exact"),
    "unknown scheme": (
        ["quantize", "model.tflite", "--data", "data.npz", "-o", "q.tflite", "--scheme", "int3"],
        2,
        "int3",
    ),
    "no data": (["evaluate", INT8, "--data", "nothing.npz"], 2, "no-file"),
    "data is no npz": (["run", INT8, "--input", INT8], 2, "numpy.savez"),
    "damaged npz": (["run", INT8, "--input", "cut.npz"], 2, "damaged"),
    "wrong shape": (["run", INT8, "--input", "shape.npz"], 2, "49"),
    "wrong name": (["run", INT8, "--input", "name.npz"], 2, "z"),
    "wrong dtype": (["run", INT8, "--input", "dtype.npz"], 2, "range"),
    "text": (["run", INT8, "--input", "text.npz"], 2, "numbers"),
    "NaN": (["run", INT8, "--input", "nan.npz"], 2, "NaN"),
    "no samples": (["run", INT8, "--input", "none.npz"], 2, ""),
    "no labels": (["evaluate", INT8, "--data", "unlabelled.npz"], 2, "no labels"),
    "wrong labels": (["evaluate", INT8, "--data", "labels.npz"], 2, "12 classes"),
    "label count": (["evaluate", INT8, "--data", "count.npz"], 2, "different numbers"),
    "objects": (["run", INT8, "--input", "pickle.npz"], 2, "damaged"),
    "output is a folder": (["run", INT8, "--output", "."], 2, "folder"),
    "output in a file": (["build", INT8, "-o", "data.npz/out"], 2, "not a folder"),
    "output over a file": (["build", INT8, "-o", "data.npz"], 2, "file"),
    "bad bytes": (["build", INT8, "--ram", "lots"], 2, "64k"),
    "bad name": (["build", INT8, "--name", "1-2"], 2, "C name"),
    "too little RAM": (["build", INT8, "--ram", "1k", "-o", "never"], 1, "does-not-fit"),
    "too little flash": (["build", INT8, "--flash", "1k", "-o", "never"], 1, "does-not-fit"),
    "quantized already": (
        ["quantize", INT8, "--data", "data.npz", "-o", "q.tflite"],
        2,
        "already",
    ),
    "damaged B": (["compare", INT8, "other.tflite"], 1, ""),
    "baseline missing": (["bench", INT8, "--baseline", "no.json"], 2, "no-file"),
    "baseline no JSON": (["bench", INT8, "--baseline", INT8], 2, "JSON"),
    "no compiler kind": (["build", INT8, "--compiler", "msvc"], 2, "clang"),
}


@pytest.fixture(scope="module")
def bad_files(workplace: Path) -> None:
    content = (workplace / INT8).read_bytes()
    (workplace / "empty.tflite").write_bytes(b"")
    (workplace / "cut.tflite").write_bytes(content[: len(content) // 2])
    (workplace / "other.tflite").write_bytes(content[:20])
    (workplace / "cut.npz").write_bytes((workplace / "data.npz").read_bytes()[:300])
    x = np.zeros((2, 49, 10, 1), np.float32)
    np.savez(workplace / "shape.npz", x=np.zeros((2, 48, 10, 1), np.float32))
    np.savez(workplace / "name.npz", z=x)
    np.savez(workplace / "dtype.npz", x=np.full((2, 49, 10, 1), 1000))
    np.savez(workplace / "text.npz", x=np.full((2, 49, 10, 1), "a"))
    np.savez(workplace / "nan.npz", x=x * np.nan)
    np.savez(workplace / "none.npz", x=x[:0])
    np.savez(workplace / "unlabelled.npz", x=x)
    np.savez(workplace / "labels.npz", x=x, y=np.array([3, 12]))
    np.savez(workplace / "count.npz", x=x, y=np.array([3]))
    np.savez(workplace / "pickle.npz", x=np.array([{}, {}], object))


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_in_findings(
    case: str, here: Path, bad_files: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, status, said = BAD[case]
    before = sorted(os.listdir(here))
    assert execute(arguments) == status
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err
    assert "Traceback" not in output.err
    assert "internal error" not in output.err
    assert sorted(os.listdir(here)) == before, "nothing may be left behind"


def test_findings_are_json_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", "nothing.tflite", "--json"]) == 2
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert set(findings[0]) == {"rule", "severity", "where", "message", "hint"}


def test_a_full_disk_is_a_finding(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert execute(["run", INT8, "--on", "reference", "--output", "y.npz", "--samples", "1"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert not [name for name in os.listdir(here) if name.startswith((".y.npz", "y.npz"))]


def test_missing_tools_are_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "tflite_micro" else find(n, *a)
    )
    assert execute(["run", INT8, "--on", "tflm"]) == 2
    assert "thimble-ml[tflm]" in capsys.readouterr().err


def test_without_any_compiler_or_emulator(here: Path, tmp_path: Path) -> None:
    program = tmp_path / "no_tools.py"
    program.write_text(
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda n, *a: None if n == 'ziglang' else find(n, *a)\n"
        "from thimble.cli import execute\n"
        "sys.exit(execute(sys.argv[1:]))\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": str(tmp_path / "empty")}
        command = [sys.executable, str(program), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    for arguments in (["run", INT8], ["bench", INT8, "--on", "cortex-m55"]):
        done = run(*arguments)
        assert done.returncode == 2
        assert "thimble-ml[toolchain]" in done.stderr
        assert "Traceback" not in done.stderr
    done = run("build", INT8, "-o", "unmeasured", "--json", "-q")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["flash"]["code_bytes"] is None
    assert report["ram"]["stack_bytes"] is None
    assert report["verification"]["runner"].startswith("program")
    assert any("no C compiler" in note for note in report["notes"])


def test_streaming_saves_memory_and_keeps_the_bits(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = []
    for extra in ([], ["--stream"]):
        assert execute(["build", INT8, "--target", "host", "--json", "-q", *extra]) == 0
        reports.append(json.loads(capsys.readouterr().out))
    plain, streamed = reports
    assert streamed["ram"]["arena_bytes"] < plain["ram"]["arena_bytes"] / 2
    assert streamed["verification"]["mismatched"] == 0
    assert execute(["plan", INT8, "--stream", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["arena_bytes"] == streamed["ram"]["arena_bytes"]


def test_a_bug_is_one_line_without_v(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr("thimble.memory_map.plan_report", broken)
    assert execute(["plan", INT8]) == 2
    output = capsys.readouterr()
    assert "internal error: KeyError" in output.err
    with pytest.raises(KeyError):
        execute(["plan", INT8, "-v"])


def thimble(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "thimble", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **options)  # type: ignore[call-overload,no-any-return]


def test_ctrl_c_ends_with_130_and_one_line(here: Path) -> None:
    process = thimble("bench", INT8, "--on", "program", "--repeats", "100000")
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


def test_a_closed_pipe_is_no_error(here: Path) -> None:
    process = thimble("inspect", INT8)
    assert process.stdout is not None
    process.stdout.close()
    process.wait(timeout=30)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_help_is_fast_and_imports_no_numpy() -> None:
    code = "import sys, thimble.cli as c; c.execute(['--help']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "False"


def test_a_built_folder_compiles_and_passes_its_self_test(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("TOOL MISSING: make and cc")
    assert execute(["build", INT8, "--target", "host", "-o", "firmware", "-q"]) == 0
    report = json.loads((here / "firmware" / "report.json").read_text())
    assert report["verification"]["mismatched"] == 0
    strict = "HOST_CFLAGS=-Wall -Wextra -Wconversion -Werror"
    done = subprocess.run(
        ["make", "-C", "firmware", "host", strict], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    arena = report["ram"]["arena_bytes"]
    assert f"self test passed, arena {arena} bytes" in done.stdout
    # A wrong weight must show in the layer that holds it.
    source = here / "firmware" / "model_int8.c"
    text = source.read_text()
    broken = re.sub(r"(_const_0\[\d+\][^{]*\{\s*)(-?\d+)", r"\g<1>77", text, count=1)
    assert broken != text
    source.write_text(broken)
    done = subprocess.run(["make", "-C", "firmware", "host"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "layer 0 differs" in done.stdout


def test_existing_folders_keep_what_is_not_ours(here: Path) -> None:
    (here / "kept").mkdir()
    (here / "kept" / "mine.txt").write_text("mine")
    assert execute(["build", INT8, "--target", "host", "-o", "kept", "-q", "--json"]) == 0
    assert (here / "kept" / "mine.txt").read_text() == "mine"
    assert (here / "kept" / "model_int8.c").exists()


def test_compare_says_where_models_part(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    from thimble import load

    model = load(INT8)
    graph = model.graph
    node = graph.nodes[4]
    weights = graph.tensors[node.inputs[1]]
    assert weights.data is not None
    changed = replace(weights, data=-weights.data)
    tensors = tuple(changed if t is weights else t for t in graph.tensors)
    model.with_graph(graph.with_(tensors=tensors)).save("changed.tflite")
    assert execute(["compare", INT8, "changed.tflite", "--json", "--samples", "1"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert not report["equal"]
    assert report["first_divergence"]["index"] == 4
    row = report["layers"][4]
    assert row["introduced"] > 0
    assert row["inherited"] == 0
    later = report["layers"][6]
    assert later["introduced"] == 0
    assert later["inherited"] > 0


def test_hybrid_layers_count_as_supported(here: Path) -> None:
    assert execute(["ops", "model.tflite", "-q"]) == 0


def test_runnable_leaves_supported_models_alone(here: Path) -> None:
    from thimble import load

    model = load(INT8)
    assert runnable(model) is model
