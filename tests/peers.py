"""The runtimes we compare with, LiteRT and TensorFlow Lite Micro, in this process or isolated.

`run_litert` and `run_tflm` raise `PeerFailed` when the peer refuses the model. Both peers can also
take the whole process down with a bad (or merely unusual) model: `isolated` runs them in a worker
process that is replaced when it dies or takes too long.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pickle
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

TESTS = Path(__file__).resolve().parent


class PeerFailed(Exception):
    """The peer refused the model, crashed or took too long; the message says which."""


class PeerMissing(Exception):
    """The peer is not installed (raised only outside pytest, where nothing can be skipped)."""


_MODULES = {"tflm": "tflite_micro", "litert": "ai_edge_litert"}


def require(peer: str) -> None:
    """Skip the test when `peer` ("tflm" or "litert") is missing; fail instead where CI is set."""
    if importlib.util.find_spec(_MODULES[peer]) is None:
        _missing(peer)


def _missing(peer: str) -> NoReturn:
    message = f"PEER MISSING: {_MODULES[peer]} is not installed, nothing is compared with it"
    if "pytest" not in sys.modules:
        raise PeerMissing(message)
    import pytest

    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def run_tflm(
    model: bytes, inputs: Sequence[np.ndarray], arena_bytes: int = 8 << 20
) -> list[np.ndarray]:
    """Outputs of TFLM's reference kernels, in the order of the model."""
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        _missing("tflm")
    from thimble.formats.tflite import loads

    count = len(loads(model).graph.outputs)
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
        for i, array in enumerate(inputs):
            interpreter.set_input(array, i)
        interpreter.invoke()
        return [np.array(interpreter.get_output(i)) for i in range(count)]
    except (RuntimeError, ValueError, IndexError) as error:
        raise PeerFailed(f"TFLM: {error}") from error


def run_litert(
    model: bytes, inputs: Sequence[np.ndarray], resolver: str = "ref", threads: int = 1
) -> list[np.ndarray]:
    """Outputs of LiteRT, in the order of the model.

    resolver: "ref" (reference kernels), "default" (optimised, with XNNPACK) or "nodelegate"
    (optimised, without XNNPACK).
    """
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        _missing("litert")
    types = litert.OpResolverType
    kind = {
        "ref": types.BUILTIN_REF,
        "default": types.AUTO,
        "nodelegate": types.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    }[resolver]
    try:
        interpreter = litert.Interpreter(
            model_content=model, experimental_op_resolver_type=kind, num_threads=threads
        )
        interpreter.allocate_tensors()
        for details, array in zip(interpreter.get_input_details(), inputs, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return [np.array(interpreter.get_tensor(details["index"])) for details in outputs]
    except (RuntimeError, ValueError) as error:
        raise PeerFailed(f"LiteRT {resolver}: {error}") from error


_PEERS = {"tflm": run_tflm, "litert": run_litert}


class _Worker:
    """A process that runs one job at a time: pickles in on stdin, out on a pipe of its own."""

    def __init__(self) -> None:
        self.results, theirs = os.pipe()
        path = os.pathsep.join([str(TESTS), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, str(TESTS / "peers.py"), str(theirs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs],
            env={**os.environ, "PYTHONPATH": path},
        )
        os.close(theirs)

    def run(self, job: Any, seconds: float) -> Any:
        """The result of a job, or PeerFailed when the process died or took longer."""
        stdin = self.process.stdin
        assert stdin is not None
        try:
            pickle.dump(job, stdin)
            stdin.flush()
        except BrokenPipeError as error:
            raise PeerFailed(f"{job[0]} died") from error
        ready, _, _ = select.select([self.results], [], [], seconds)
        if not ready:
            raise PeerFailed(f"{job[0]} took more than {seconds} s")
        try:
            with os.fdopen(os.dup(self.results), "rb") as stream:
                return pickle.load(stream)
        except (EOFError, pickle.UnpicklingError) as error:
            raise PeerFailed(f"{job[0]} crashed the process") from error

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.results)


_worker: _Worker | None = None


def _close_worker() -> None:
    global _worker
    if _worker is not None:
        _worker.close()
        _worker = None


atexit.register(_close_worker)


def isolated(
    peer: str,
    model: bytes,
    inputs: Sequence[np.ndarray],
    seconds: float = 30.0,
    **options: Any,
) -> list[np.ndarray]:
    """`run_tflm` ("tflm") or `run_litert` ("litert") in a worker process. Raises PeerFailed."""
    global _worker
    if _worker is None:
        _worker = _Worker()
    try:
        kind, value = _worker.run((peer, model, list(inputs), options), seconds)
    except PeerFailed:
        _close_worker()
        raise
    if kind == "failed":
        raise PeerFailed(value)
    if kind == "missing":
        _missing(peer)
    return list(value)


def _serve(results: int) -> None:
    with os.fdopen(results, "wb") as out:
        while True:
            try:
                peer, model, inputs, options = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            try:
                answer: Any = ("outputs", _PEERS[peer](model, inputs, **options))
            except PeerFailed as error:
                answer = ("failed", str(error))
            except PeerMissing:
                answer = ("missing", None)
            pickle.dump(answer, out)
            out.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
