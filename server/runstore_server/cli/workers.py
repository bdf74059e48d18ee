"""Several server processes that share their ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from types import FrameType

import structlog

from runstore_server import logs
from runstore_server.edge.listening import bound
from runstore_server.settings import Settings

# Keeps a worker that dies at once from being restarted in a tight loop.
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.2

_log = structlog.get_logger(__name__)


def supervise(settings: Settings) -> int:
    """Run `settings.workers` servers on the same ports until SIGTERM or SIGINT; return the exit
    code.

    A worker that dies is replaced. Where this process is killed, its workers drain and end. The
    ports are held here, so that all workers share them even if the system chose them, and a port
    that another server has is an error at once.
    """
    logs.configure(settings)
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with ExitStack() as stack:
        port = _held(stack, settings.host, settings.port)
        host = settings.http_host or settings.host
        http = _held(stack, host, settings.http_port) if settings.http else None
        _log.info("supervising", workers=settings.workers, port=port, http_port=http)
        running = [_start(settings, port, http) for _ in range(settings.workers)]
        while not stopping:
            time.sleep(POLL_SECONDS)
            for index, worker in enumerate(running):
                if worker.poll() is not None and not stopping:
                    _log.error("worker died", pid=worker.pid, code=worker.returncode)
                    time.sleep(RESTART_SECONDS)
                    running[index] = _start(settings, port, http)
        for worker in running:
            worker.send_signal(signal.SIGTERM)
        return max(worker.wait() for worker in running)


def _held(stack: ExitStack, host: str, port: int) -> int:
    """Reserve a port until the stack is closed, without listening on it."""
    held = stack.enter_context(bound(host, port, reuse_port=True))
    return int(held.getsockname()[1])


def _start(settings: Settings, port: int, http_port: int | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            *("-m", "runstore_server", "serve", "--worker", "--workers", "1"),
            *("--host", settings.host, "--port", str(port)),
            *(["--no-http"] if http_port is None else ["--http", "--http-port", str(http_port)]),
        ],
        env=os.environ,
        stdin=subprocess.PIPE,  # ends with this process, and the worker with it
        start_new_session=True,  # Ctrl-C reaches the supervisor, which drains the workers
    )
