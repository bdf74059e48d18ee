"""A deployment as docs/deploy.md has it: a Postgres with the three roles, objects in a folder.

Commands of a page run in the environment of its operator, who has Postgres' programs on the PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from database import data_folder
from e2e.documents import blocks
from e2e.servers import ServerProcess
from field.postgres import PostgresServer
from runstore_storage.embedded.accounts import Account
from runstore_storage.embedded.postgres import _binaries

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs" / "deploy.md"
OWNER, SERVICE = "runstore_owner", "runstore_service"
# What servers renew of some tables without work to do.
LASTING = {"duties": "name, position", "tokens": "token_id, name, grants, expires_at, revoked_at"}


@dataclass(frozen=True)
class Database:
    """A database of a server that listens on 127.0.0.1, and the folder of its objects."""

    port: int
    name: str
    objects: Path

    def url(self, role: str = "postgres") -> str:
        return f"postgresql://{role}@127.0.0.1:{self.port}/{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        """What tells servers and migrations of it."""
        return {
            "RUNSTORE_DATABASE_URL": self.url(SERVICE),
            "RUNSTORE_DATABASE_OWNER_URL": self.url(OWNER),
            "RUNSTORE_OBJECTS_URL": self.objects.as_uri(),
            "RUNSTORE_LARGE_PAYLOADS": "objects",
            "RUNSTORE_PAYLOAD_INLINE_BYTES": "1024",
        }

    def sql(self, statement: str) -> list[str]:
        """The rows that an administrator gets, as text."""
        done = subprocess.run(
            [_binaries() / "psql", "-XAt", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url()],
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def number(self, statement: str) -> int:
        (found,) = self.sql(statement)
        return int(found)

    def wait_for(self, statement: str, rows: list[str]) -> None:
        """Return once the statement has these rows; fail after a minute."""
        late = time.monotonic() + 60
        while (found := self.sql(statement)) != rows:
            assert time.monotonic() < late, found

    def tables(self) -> list[str]:
        return self.sql(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'runstore' AND relkind = 'r' ORDER BY 1"
        )

    def rows(self) -> dict[str, list[str]]:
        """Every row of every table, but for what servers renew."""
        return {
            name: sorted(
                self.sql(f"SELECT ROW({LASTING.get(name, 't.*')})::text FROM runstore.{name} t")
            )
            for name in self.tables()
        }

    def sequences(self) -> list[str]:
        return self.sql("SELECT sequencename, last_value FROM pg_sequences ORDER BY 1")

    def schema(self) -> list[str]:
        """The schema with its owners, rights, triggers and indexes, as a dump has it."""
        done = subprocess.run(
            [_binaries() / "pg_dump", "--schema-only", "--schema=runstore", self.url()],
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
        # A condition that was dumped has fewer parentheses; lines of \\restrict are the dump's own.
        lines = done.stdout.replace("(", "").replace(")", "").splitlines()
        return [line for line in lines if "restrict " not in line]

    def state(self) -> State:
        return State(self.rows(), self.sequences(), self.schema())


class State(NamedTuple):
    """All that is in a schema."""

    rows: dict[str, list[str]]
    sequences: list[str]
    schema: list[str]

    def beside(self, other: State) -> list[str]:
        """What only one of them has, in short: a comparison of all of it would take minutes."""
        pairs = [("a sequence", self.sequences, other.sequences)]
        pairs += [("the schema", self.schema, other.schema)]
        for name in self.rows | other.rows:
            pairs.append((name, self.rows.get(name, []), other.rows.get(name, [])))
        return [
            f"{name}: {each[:200]}"
            for name, one, two in pairs
            for each in (Counter(one) - Counter(two)) + (Counter(two) - Counter(one))
        ]


@dataclass
class Installation:
    """A server with a database `runstore`, and a folder for what a page reads and writes."""

    folder: Path
    postgres: PostgresServer
    database: Database
    paths: dict[str, str] = field(default_factory=dict)
    """What stands in a page's commands for which of the folder's own."""

    def shown(self, command: str) -> str:
        """A command of a page, with the folders and the times that are here."""
        for shown, here in self.paths.items():
            command = command.replace(shown, here)
        return command

    def run(
        self, command: str, environment: Mapping[str, str], *, as_account: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of a page to its end, as the account of Postgres if that is asked."""
        prefix, options = self._as_account() if as_account else ((), {})
        return subprocess.run(
            [*prefix, "bash", "-euo", "pipefail", "-c", self.shown(command)],
            cwd=self.folder,
            env=self.environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **options,
        )

    def own(self, *folders: Path) -> None:
        """Make folders that Postgres may write to."""
        for each in folders:
            each.mkdir(parents=True, exist_ok=True)
            self.postgres._account.own(each)

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "RUNSTORE_"))}
        folders = (str(_binaries()), str(Path(sys.executable).parent), os.environ["PATH"])
        return {**inherited, **more, "PATH": os.pathsep.join(folders)}

    def _as_account(self) -> tuple[tuple[str, ...], dict[str, object]]:
        account: Account = self.postgres._account
        if os.geteuid() != 0 or account.prefix:
            return account.prefix, {}
        return (), {"user": account.uid, "group": account.gid, "extra_groups": []}


@contextmanager
def installed(
    settings: Callable[[Path], str] = lambda _: "", *, version: str = "head"
) -> Iterator[Installation]:
    """A new installation, migrated; `settings` are more lines of postgresql.conf, by its folder."""
    with data_folder() as folder:
        server = PostgresServer(folder).create("--encoding=UTF8", "--locale=C")
        with (folder / "cluster" / "postgresql.conf").open("a") as file:
            file.write("fsync = off\nunix_socket_directories = ''\n" + settings(folder))
        made = Installation(
            folder, server, Database(server.port, "runstore", folder / "objects"), {}
        )
        made.own(made.database.objects)
        server.start()
        try:
            server.execute("CREATE DATABASE runstore")
            (grants,) = (text for language, text in blocks(DEPLOY) if language == "sql")
            server.execute(grants, database="runstore")
            role = f"--service-role {SERVICE}" if version == "head" else ""
            done = made.run(f"runstore migrate up {version} {role}", made.database.environment)
            assert done.returncode == 0, done.stderr
            yield made
        finally:
            server.stop()


@contextmanager
def serving(folder: Path, environment: Mapping[str, str], *command: str) -> Iterator[ServerProcess]:
    """A server until the end, which drains it."""
    process = ServerProcess(folder / "server.log", environment, *command)
    process.start()
    try:
        process.wait_until_serving()
        yield process
    finally:
        process.stop()
