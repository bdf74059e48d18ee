"""The process of an embedded Postgres: as whom it runs, whether it runs, how it ends."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

# Whom the server runs as when its owner is root, whom Postgres refuses: the first that exists.
ACCOUNTS = ("postgres", "nobody")
# Passes closed folders, as root may; it still cannot write where its account cannot.
PASS_FOLDERS = (
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    # Without it access(2), which Postgres asks about its own binaries, forgets the above.
    "--securebits=+no_setuid_fixup",
)
STOP_SECONDS = 30.0
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as; `prefix` is put before its commands and makes it so."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    @classmethod
    def for_cluster(cls, cluster: Path, binaries: Path) -> Self:
        """Return this process's account or, for root, an unprivileged one.

        A cluster that has an unprivileged owner keeps it. Raises PermissionError when the account
        cannot reach the cluster's folder or the binaries.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        uid, gid = _unprivileged_owner(cluster) or _unprivileged_account()
        plain = cls(uid, gid)
        if plain._reaches(cluster.parent, binaries / "postgres"):
            return plain
        if setpriv := shutil.which("setpriv"):
            ids = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
            able = cls(uid, gid, (setpriv, *ids, *PASS_FOLDERS))
            if able._reaches(cluster.parent, binaries / "postgres"):
                return able
        raise PermissionError(
            f"root runs Postgres as user {uid}, who may not pass through {cluster.parent} or "
            f"{binaries}; let others pass (chmod o+x on the folders above), or choose others"
        )

    def own(self, folder: Path) -> None:
        """Give the folder and all in it to the account, where root started the server."""
        if os.geteuid() == 0 and folder.stat().st_uid != self.uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def spawn(self, command: list[str], log: Path, stale_pid: int = 0) -> subprocess.Popen[bytes]:
        """Start a command of Postgres that writes to `log` and takes `stale_pid` for dead."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        environment["LC_ALL"] = "C"
        # Postgres does not believe a lock file that names its grandparent.
        environment["PG_GRANDPARENT_PID"] = str(stale_pid)
        with log.open("ab") as output:
            return self._popen(command, stdout=output, environment=environment)

    def _reaches(self, *paths: Path) -> bool:
        tests = " && ".join(f'test -x "${number}"' for number in range(1, len(paths) + 1))
        command = ["/bin/sh", "-c", tests, "sh", *map(str, paths)]
        return self._popen(command, stdout=subprocess.DEVNULL).wait() == 0

    def _popen(
        self,
        command: list[str],
        stdout: IO[bytes] | int,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        drop = os.geteuid() == 0 and not self.prefix
        return subprocess.Popen(
            [*self.prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            user=self.uid if drop else None,
            group=self.gid if drop else None,
            extra_groups=[] if drop else None,
            # Ctrl-C reaches the owner alone, who stops the server last.
            start_new_session=True,
        )


def recorded(cluster: Path) -> tuple[int, str]:
    """Return the pid and the state in the cluster's lock file; 0 and nothing without one."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return int(lines[0]), lines[-1].strip()
    except (FileNotFoundError, IndexError, ValueError):
        return 0, ""


def stop_orphan(cluster: Path) -> None:
    """Stop the server that a killed owner left on the cluster, if there is one."""
    pid, _ = recorded(cluster)
    shut_down(pid, lambda: _serves(pid, cluster))
    if _serves(pid, cluster):
        raise PermissionError(f"the Postgres of a former owner, process {pid}, does not stop")


def shut_down(pid: int, is_running: Callable[[], bool]) -> None:
    """Ask for a fast shutdown, then for an immediate one, then kill; return when it ended."""
    for request in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if not is_running():
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, request)
        give_up_at = time.monotonic() + STOP_SECONDS
        while is_running() and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)


def _serves(pid: int, cluster: Path) -> bool:
    """Tell whether the process is the cluster's server, and not another that took its number."""
    if pid <= 0:
        return False
    # By the command: a process of another account hides its folder from a root without ptrace.
    if Path("/proc/self").exists():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        except OSError:
            return False
    else:
        listing = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(listing, capture_output=True, check=False).stdout
    return b"postgres -D " + os.fsencode(cluster) + b" " in command


def _unprivileged_owner(cluster: Path) -> tuple[int, int] | None:
    if not cluster.exists() or cluster.stat().st_uid == 0:
        return None
    return cluster.stat().st_uid, cluster.stat().st_gid


def _unprivileged_account() -> tuple[int, int]:
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in ACCOUNTS:
        if name in accounts:
            return accounts[name].pw_uid, accounts[name].pw_gid
    raise PermissionError(f"Postgres does not run as root, and there is no user {ACCOUNTS}")
