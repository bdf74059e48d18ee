"""Server processes of their own, to be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
from ports import reserved_port

# On a busy machine Python alone takes a minute to import what a server needs.
START_SECONDS = 180
# What asyncio logs of a failure that no code saw.
LOST = "exception was never retrieved"


class ServerProcess:
    """`runstore serve` (or another command of ours) on a port that stays the same."""

    def __init__(
        self,
        log: Path,
        environment: Mapping[str, str],
        *command: str,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.port = reserved_port()
        self.target = f"127.0.0.1:{self.port}"
        self.http_port = reserved_port()
        self.http_target = f"http://127.0.0.1:{self.http_port}"
        self._log = log
        self._environment = {**os.environ, **environment}
        self._command = command or ("serve",)
        self._credentials = credentials
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, with_ports: bool = True) -> None:
        ports = ("--port", str(self.port), "--http-port", str(self.http_port)) if with_ports else ()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runstore_server", *self._command, *ports],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def wait_until_serving(self) -> None:
        """Return when it serves; end it and show its log if it does not."""
        assert self.process
        late = time.monotonic() + START_SECONDS
        with self._channel() as channel:
            ready = grpc.channel_ready_future(channel)
            while self.process.poll() is None and time.monotonic() < late:
                try:
                    return ready.result(1)
                except grpc.FutureTimeoutError:
                    continue
        self.kill()
        raise AssertionError(f"{self._command} does not serve:\n{self._log.read_text()}")

    def _channel(self) -> grpc.Channel:
        if self._credentials:
            return grpc.secure_channel(self.target, self._credentials)
        return grpc.insecure_channel(self.target)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(START_SECONDS)
        log = self._log.read_text(errors="replace")
        assert LOST not in log, log[max(log.index(LOST) - 500, 0) :][:3000]
        return status


@contextmanager
def serving(log: Path, environment: Mapping[str, str]) -> Iterator[ServerProcess]:
    """A server that serves, until it is killed."""
    process = ServerProcess(log, environment)
    process.start()
    try:
        process.wait_until_serving()
        yield process
    finally:
        process.kill()
