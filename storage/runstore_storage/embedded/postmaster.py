"""The server process of an embedded Postgres: whether it runs, and how it is stopped.

The watcher is this file run as a program, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STOP_SECONDS = 30.0
POLL_SECONDS = 0.01


def recorded(cluster: Path) -> tuple[int, str]:
    """Return the pid and the state in the cluster's lock file, (0, "") without one."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[-1].strip()
    except (FileNotFoundError, IndexError, ValueError):
        return 0, ""


def stop_orphan(cluster: Path) -> None:
    """Stop the server that a killed owner left running on the cluster, if there is one."""
    pid, _ = recorded(cluster)
    _shut_down_server(pid, cluster)
    if _serves(pid, cluster):
        raise PermissionError(f"the Postgres of a former owner, process {pid}, does not stop")


def start_watcher(cluster: Path) -> subprocess.Popen[bytes]:
    """Start a process that stops the cluster's server once this process is gone, however it ends.

    Write it the server's pid, on a line, at each start; the last one counts. It ends when its input
    does, which the kernel closes with this process and those forked from it.
    """
    return subprocess.Popen(
        # Isolated and without site-packages: it starts in a moment and stays small.
        [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(cluster)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        # What signals this process's group or terminal does not reach the watcher.
        start_new_session=True,
    )


def shut_down(pid: int, is_running: Callable[[], bool]) -> None:
    """Ask for a fast shutdown, then an immediate one, then kill; return once it has ended."""
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if not is_running():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, request)
        give_up_at = time.monotonic() + STOP_SECONDS
        while is_running() and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)


def _shut_down_server(pid: int, cluster: Path) -> None:
    shut_down(pid, lambda: _serves(pid, cluster))


def _serves(pid: int, cluster: Path) -> bool:
    """Tell whether the process is the cluster's server, not another one that was given its pid."""
    if pid <= 0:
        return False
    # Told by its command: root without ptrace cannot see the folder of another account's process.
    if Path("/proc/self").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
    else:
        listing = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(listing, capture_output=True, check=False).stdout
    return b"postgres -D " + os.fsencode(cluster) + b" " in command


def _watch(cluster: Path) -> None:
    pids = [int(line) for line in sys.stdin.buffer]
    if pids:
        _shut_down_server(pids[-1], cluster)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]))
