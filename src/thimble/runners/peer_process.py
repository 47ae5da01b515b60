"""The process that `PeerRunner` talks to: `python -m thimble.runners.peer_process litert|tflm`."""

from __future__ import annotations

import importlib
import os
import pickle
import sys


def serve(peer: str) -> None:
    """Answer (command, arguments) pickles from stdin with ("ok" | "failed", value) on stdout."""
    # What the peer's C++ prints must not get between our pickles.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    session = None
    module = importlib.import_module(f"thimble.runners.{peer}")
    while True:
        try:
            command, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            if command == "open":
                session = None
                session = module.Session(*arguments)
                answer: tuple[str, object] = ("ok", None)
            else:
                answer = ("ok", getattr(session, command)(*arguments))
        except Exception as error:  # whatever the peer raises is its answer
            answer = ("failed", f"{type(error).__name__}: {error}")
        pickle.dump(answer, channel)
        channel.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
