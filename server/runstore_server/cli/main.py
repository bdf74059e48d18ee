"""The `runstore` command and its groups.

A command's module is imported when the command is called, so that `--help`, `--version` and the
completion of names cost a moment, and a command costs what it needs.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from runstore_server.cli.exits import ExitCode


@dataclass(frozen=True, slots=True)
class Command:
    """A command or group: the module of `cli` it is in, its name there, and its summary."""

    module: str
    attribute: str
    summary: str

    def imported(self, name: str) -> Any:
        """What typer runs for it."""
        found = getattr(import_module(f"runstore_server.cli.{self.module}"), self.attribute)
        if isinstance(found, typer.Typer):
            return get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        return get_command(alone)


COMMANDS = {
    "dev": Command(
        "serve", "dev", "Serve from an embedded Postgres: nothing to install, nothing to set up."
    ),
    "serve": Command(
        "serve",
        "serve",
        "Serve from RUNSTORE_DATABASE_URL, which has to be set; `dev` needs no database.",
    ),
    "health": Command(
        "health",
        "health",
        "Ask a server whether it serves; exit with 1 if it does not, with 3 if none answers.",
    ),
    "relay": Command("relay", "relay", "Publish, count, index and deliver events without serving."),
    "migrate": Command(
        "migrate",
        "app",
        "Migrate the schema up or down, seal what is hashed, and give servers' role its rights.",
    ),
    "runs": Command("runs", "app", "List, show, follow, search and verify runs."),
    "configs": Command(
        "configs",
        "app",
        "Register, label and show versions of prompts, tools, agents and evaluators.",
    ),
    "feed": Command(
        "feed", "app", "Read the events of all runs of a project in the order of their publication."
    ),
    "statistics": Command("statistics", "app", "Add up the usage of events."),
    "sinks": Command(
        "sinks",
        "app",
        "Look after the sinks of RUNSTORE_SINKS, in the database of RUNSTORE_DATABASE_URL.",
    ),
    "artifacts": Command("artifacts", "app", "List, fetch and store the artifacts of runs."),
    "export": Command(
        "archives", "export", "Write a run's archive, a tar file; it appears once it is complete."
    ),
    "verify-archive": Command(
        "archives",
        "verify_archive",
        "Verify a run's archive, without a server; exit with 1 if something does not agree.",
    ),
    "tokens": Command(
        "tokens",
        "app",
        "Make, list and end tokens, in the database of RUNSTORE_DATABASE_URL.",
    ),
    "admin": Command(
        "admin.group",
        "app",
        "Ask a server who may use it: look after tokens, limits and the records of acts.",
    ),
    "holds": Command(
        "holds", "app", "Keep runs from being removed, by anybody, until a hold is released."
    ),
    "delete": Command(
        "removals",
        "delete",
        "Delete a run that has ended, with all that is stored of it.",
    ),
    "erase": Command(
        "erasures",
        "erase",
        "Erase what events said, of a run or about a subject; their chain holds.",
    ),
    "erasures": Command("erasures", "app", "Look at what was erased, and clean up after it."),
    "ledger": Command(
        "ledger",
        "app",
        "Write down what was erased and deleted, and do it again on a restored copy.",
    ),
    "archive": Command(
        "archiving",
        "archive",
        "Move the events of a run that has ended to the object store.",
    ),
    "restore": Command(
        "archiving",
        "restore",
        "Put the events of an archived run back into the database, as they were.",
    ),
    "removals": Command("removals", "app", "Look at what was removed for good."),
    "retention": Command("retention", "app", "Say how long what is kept of runs that have ended."),
    "search": Command("search", "app", "Maintain the search index."),
}


class _Commands(TyperGroup):
    """Lists the commands by their summaries; the one that is called is imported."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        if name is None:
            return name, command, rest
        if name != "serve":
            # A person reads what is printed; gRPC's core says nothing there that errors do not.
            os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        imported = COMMANDS[name].imported(name)
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # `main` of the program put it there
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return name, imported, rest


def _exits() -> str:
    return "\n\n".join(f"{each.value}: {each.meaning}" for each in ExitCode)


app = typer.Typer(
    cls=_Commands,
    help="The durable record of agent runs: a gRPC service on Postgres.\n\n"
    "Start with `runstore dev`. Every setting of the server is an environment variable that begins"
    " with RUNSTORE_.",
    epilog=f"Exit codes:\n\n{_exits()}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"runstore {version('runstore')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the release and exit.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    pass


def _in_its_module() -> None:
    raise AssertionError("a command is imported before it runs")


for _name, _command in COMMANDS.items():
    app.command(_name, help=_command.summary)(_in_its_module)
