"""The `runstore` command and its groups."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from runstore_server.cli import (
    artifacts,
    configs,
    feed,
    health,
    migrate,
    relay,
    replays,
    runs,
    search,
    serve,
    sinks,
    statistics,
)

app = typer.Typer(
    help="The durable record of agent runs: a gRPC service on Postgres.\n\n"
    "Start with `runstore dev`. Every setting of the server is an environment variable that begins"
    " with RUNSTORE_.",
    no_args_is_help=True,
    add_completion=False,
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


app.command("dev")(serve.dev)
app.command("serve")(serve.serve)
app.command("health")(health.health)
app.command("relay")(relay.relay)
for command in (replays.replay, replays.diff, replays.fork):
    runs.app.command()(command)
app.add_typer(migrate.app, name="migrate")
app.add_typer(runs.app, name="runs")
app.add_typer(configs.app, name="configs")
app.add_typer(feed.app, name="feed")
app.add_typer(statistics.app, name="statistics")
app.add_typer(sinks.app, name="sinks")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(search.app, name="search")
