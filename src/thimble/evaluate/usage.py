"""CPU time and peak memory of this process or of a peer's, from the system."""

from __future__ import annotations

import sys
import time
from pathlib import Path


class Usage:
    """What the process `pid` (this one, where None) uses from now on.

    On Linux the peak starts anew (clear_refs, 5); elsewhere it is the largest so far of this
    process, and nothing is known of another.
    """

    def __init__(self, pid: int | None = None):
        self.is_own = pid is None
        self._proc = Path("/proc") / ("self" if pid is None else str(pid))
        self._started = time.perf_counter()
        try:
            (self._proc / "clear_refs").write_text("5")
            self.is_fresh = True
        except OSError:
            self.is_fresh = False
        self._cpu_before = self._cpu_seconds()

    def wall_seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def cpu_seconds(self) -> float | None:
        """CPU time of all its threads since the start; None where the system does not tell."""
        now = self._cpu_seconds()
        return None if now is None or self._cpu_before is None else now - self._cpu_before

    def _cpu_seconds(self) -> float | None:
        if self.is_own:
            return time.process_time()
        try:  # nanoseconds of each thread that lives: /proc/pid/stat counts in 10 ms
            tasks = [p.read_text().split() for p in (self._proc / "task").glob("*/schedstat")]
        except OSError:
            return None
        return sum(int(fields[0]) for fields in tasks) / 1e9 if tasks else None

    def peak_rss_bytes(self) -> int | None:
        """Largest resident set."""
        try:
            for line in (self._proc / "status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        except OSError:
            return self._peak_of_resource()
        return self._peak_of_resource()

    def _peak_of_resource(self) -> int | None:
        try:
            import resource
        except ImportError:  # not on Windows
            return None
        if not self.is_own:
            return None
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
