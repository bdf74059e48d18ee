"""The account that an embedded Postgres runs as, and how its programs are started.

Postgres refuses to run as root, so root starts it as an unprivileged account.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

# The first of these that exists is the one root uses.
ACCOUNTS = ("postgres", "nobody")
# Lets the server pass through folders that are closed to its account, as root may. It still cannot
# write where its account cannot.
PASS_FOLDERS = (
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    # access(2), by which Postgres checks its own binaries, ignores the capability without this.
    "--securebits=+no_setuid_fixup",
)


@dataclass(frozen=True, slots=True)
class Account:
    """An account; `prefix` is put before a command to run it as the account."""

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
        """Give the folder and everything in it to the account, if this process is root."""
        if os.geteuid() == 0 and folder.stat().st_uid != self.uid:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def spawn(self, command: list[str], log: Path, stale_pid: int = 0) -> subprocess.Popen[bytes]:
        """Start a program of Postgres that writes to `log` and considers `stale_pid` dead."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))}
        environment["LC_ALL"] = "C"
        # Postgres ignores a lock file that names its grandparent.
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
            # Ctrl-C then reaches only the owner, which stops the server last.
            start_new_session=True,
        )


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
