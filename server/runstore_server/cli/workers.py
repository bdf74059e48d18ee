"""Several server processes on one port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

import structlog

from runstore_server import logs
from runstore_server.settings import Settings

# A worker that dies at once is not started again in a tight circle.
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.2

_log = structlog.get_logger(__name__)


def supervise(settings: Settings) -> int:
    """Run `settings.workers` servers on one port until SIGTERM or SIGINT; return the exit code.

    A worker that dies is replaced. The port is held here, so that it is one port for all even
    where it was chosen by the system, and a foreign server on it is an error at once.
    """
    logs.configure(settings)
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with socket.socket(_family(settings.host), socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((settings.host, settings.port))
        port = held.getsockname()[1]
        _log.info("supervising", workers=settings.workers, port=port)
        running = [_start(settings, port) for _ in range(settings.workers)]
        while not stopping:
            time.sleep(POLL_SECONDS)
            for place, worker in enumerate(running):
                if worker.poll() is not None and not stopping:
                    _log.error("worker died", pid=worker.pid, code=worker.returncode)
                    time.sleep(RESTART_SECONDS)
                    running[place] = _start(settings, port)
        for worker in running:
            worker.send_signal(signal.SIGTERM)
        return max(worker.wait() for worker in running)


def _start(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "runstore_server", "serve", "--reuse-port", "--workers", "1"),
            *("--host", settings.host, "--port", str(port)),
        ],
        env=os.environ,
        start_new_session=True,  # Ctrl-C reaches the supervisor, which drains the workers
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
