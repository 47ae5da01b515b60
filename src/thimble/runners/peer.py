"""Other people's runtimes in a process of their own: a model that crashes one does not crash us.

The process is `peer_process.py`; it and we exchange pickles through its stdin and stdout.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from thimble.errors import Finding, ThimbleError, ToolMissing
from thimble.graph import Graph, Model
from thimble.trace import Trace

Array = np.ndarray


class PeerFailed(ThimbleError):
    """The peer refused the model or crashed on it; the finding has its words."""


class PeerRunner:
    """A peer that runs `model`. `name` is the runner's, which also chooses the variant."""

    peer = ""  # the module of the session: "litert" | "tflm"
    module = ""  # what has to be importable
    extra = ""  # the extra of thimble-ml that installs it

    def __init__(self, model: Model, name: str):
        self.model = model
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: Any = None
        self._opened = ""  # which of `_content` the process has open
        self._check_installed()

    def _check_installed(self) -> None:
        import importlib.util

        if importlib.util.find_spec(self.module) is None:
            raise ToolMissing(
                Finding(
                    "tool-missing",
                    f"runner {self.name}",
                    f"{self.module} is not installed",
                    f"pip install 'thimble-ml[{self.extra}]'",
                )
            )

    def __enter__(self) -> PeerRunner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._errors.close()
            self._process = None
            self._opened = ""

    def process_id(self) -> int | None:
        """Of the peer's process, while it lives."""
        return None if self._process is None else self._process.pid

    def _start(self) -> subprocess.Popen[bytes]:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close())
        package_root = str(Path(__file__).parents[2])
        path = os.pathsep.join([package_root, os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "thimble.runners.peer_process", self.peer],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        )
        return self._process

    def _ask(self, command: str, *arguments: Any) -> Any:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((command, arguments), process.stdin)
            process.stdin.flush()
            kind, value = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            status = process.wait()
            said = self._said()
            self.close()
            raise PeerFailed(
                self._finding(f"its process ended with status {status}{said}")
            ) from error
        if kind == "failed":
            said = self._said()
            raise PeerFailed(self._finding(f"{value}{said}"))
        return value

    def _said(self) -> str:
        """The last words of the peer on stderr."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        wanted = [line for line in lines if not line.startswith(("INFO:", "W0000", "I0000"))]
        return f"; it said: {' | '.join(wanted[-3:])}" if wanted else ""

    def _finding(self, message: str) -> Finding:
        return Finding(
            "peer-failed",
            f"{self.model.source} on {self.name}",
            message,
            "the peer cannot run this model; use --on reference or --on host",
        )

    def _open(self, kind: str) -> None:
        if self._opened != kind:
            from thimble.formats.tflite import dumps

            model = self.model
            if kind == "all-outputs":
                graph = model.graph
                model = model.with_graph(graph.with_(outputs=tuple(traced_tensors(graph))))
            count = len(model.graph.outputs)
            self._ask("open", dumps(model), self.name, kind == "preserve", count)
            self._opened = kind

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Outputs of one sample, in the model's order."""
        self._open("plain")
        return list(self._ask("run", list(inputs)))

    def outputs(self, inputs: Sequence[Array]) -> Trace:
        """Outputs of one sample, by name."""
        graph = self.model.graph
        names = [graph.tensors[t].name for t in graph.outputs]
        return Trace(dict(zip(names, self.run(inputs))), {}, (), self.name, {})

    def seconds(self, inputs: Sequence[Array], repeats: int) -> list[float]:
        """Wall-clock seconds of each of `repeats` invocations, measured in the peer's process."""
        self._open("plain")
        return list(self._ask("seconds", list(inputs), repeats))

    def trace_kind(self) -> str:
        """How the peer is made to show its tensors: "preserve" or "all-outputs"."""
        return "preserve"

    def trace(self, inputs: Sequence[Array]) -> Trace:
        """Outputs and each layer's outputs."""
        graph = self.model.graph
        kind = self.trace_kind()
        self._open(kind)
        indices = traced_tensors(graph)
        if kind == "preserve":
            arrays = self._ask("tensors", list(inputs), indices)
        else:
            arrays = self._ask("run", list(inputs))
        by_index = dict(zip(indices, arrays))
        names = [t.name for t in graph.tensors]
        rows = tuple(
            (i, node.op.name, graph.layer_name(i), tuple(names[t] for t in node.outputs if t >= 0))
            for i, node in enumerate(graph.nodes)
        )
        tensors = {names[t]: array for t, array in by_index.items()}
        missing = [t for t in graph.outputs if t not in by_index]
        if missing:  # outputs that are inputs or constants
            values = dict(zip(graph.outputs, self.run(inputs)))
            by_index |= {t: values[t] for t in missing}
        outputs = {names[t]: by_index[t] for t in graph.outputs}
        return Trace(outputs, tensors, rows, self.name, {"shown_by": kind})


def traced_tensors(graph: Graph) -> list[int]:
    """The tensors that layers compute, in order."""
    return list(dict.fromkeys(t for node in graph.nodes for t in node.outputs if t >= 0))
