"""pgbouncer between a server and its Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from field.programs import installed, started
from ports import reserved_port
from runstore_storage.embedded.accounts import _unprivileged_account


class PgBouncer:
    """A pooler in front of one Postgres port; any database and user pass."""

    def __init__(self, folder: Path, postgres_port: int, settings: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.port = reserved_port()
        self._folder = folder
        (folder / "users.txt").write_text('"postgres" ""\n"runstore_app" ""\n')
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "auth_type": "trust",
            "auth_file": str(folder / "users.txt"),
            "unix_socket_dir": "",
            **settings,
        }
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres_port}\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in lines.items())
        )
        self._process: subprocess.Popen[bytes] | None = None

    def url_of(self, database: str, *, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        program = installed("pgbouncer")
        user = _unprivileged_account()[0] if os.geteuid() == 0 else None
        command = [program, str(self._folder / "pgbouncer.ini")]
        self._process = started(command, self._folder / "pgbouncer.log", self.port, user=user)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
