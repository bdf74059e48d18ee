"""A NATS server with JetStream in a process of its own, to be killed and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from ports import reserved_port

START_SECONDS = 180


def program() -> str | None:
    """Where nats-server is; installed packages may put it where only root looks."""
    return shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/sbin")


class NatsServer:
    """A server on a port that stays the same, with a folder that outlives it."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        self.port = reserved_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._config = folder / "nats.conf"
        self._config.write_text(config)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it greets."""
        found = program()
        assert found
        with (self._folder / "nats.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(found, "--config", str(self._config), "--jetstream"),
                    *("--addr", "127.0.0.1", "--port", str(self.port)),
                    *("--store_dir", str(self._folder / "store")),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._greets():
            assert self.process.poll() is None, (self._folder / "nats.log").read_text()
            assert time.monotonic() < deadline, "nats-server does not answer"

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Let it hold its connections and answer nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def _end(self, number: signal.Signals) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            time.sleep(0.02)  # between two looks
            return False
