"""runstore sinks: the positions of sinks, and their dead letters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from runstore_storage.contract.feed import (
    EVERY_PROJECT,
    DeadLetter,
    FeedEntry,
    FeedStore,
    sink_duty,
)

from runstore_server.cli.database import run_with_store
from runstore_server.cli.dead_letters import letters_of, redeliver
from runstore_server.cli.environment import settings_of
from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.cli.options import AsJson
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.layout import print_table
from runstore_server.cli.tables.sinks import print_dead_letters
from runstore_server.json.feed import dead_letter_value
from runstore_server.settings import Settings
from runstore_server.sinks.opening import open_sink
from runstore_server.sinks.settings import SinkSettings

app = typer.Typer(
    help="Look after the sinks of RUNSTORE_SINKS, in the database of RUNSTORE_DATABASE_URL.",
    no_args_is_help=True,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """The position of a sink in a feed that ends at `last_position`."""

    name: str
    kind: str
    position: int
    last_position: int
    dead_letters: int


SinkName = Annotated[str, typer.Argument(metavar="SINK", help="The sink's name.")]


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the configured sinks with their positions and their numbers of dead letters."""
    settings = settings_of()
    rows = run_with_store(settings, lambda store: _standings(store.feed, settings))
    if as_json:
        for row in rows:
            print_json(asdict(row))
    elif rows:
        _print_standings(rows)
    else:
        typer.echo("no sinks: RUNSTORE_SINKS is empty")


@app.command("dead-letters")
def dead_letters(sink: SinkName, as_json: AsJson = False) -> None:
    """List the events that a sink gave up: how often each was tried, and why it failed."""
    found = run_with_store(settings_of(), lambda store: _letters(store.feed, sink))
    if as_json:
        for letter, entry in found:
            print_json(dead_letter_value(letter, entry))
    else:
        print_dead_letters(sink, found)


@app.command()
def replay(
    sink: SinkName,
    letter_id: Annotated[
        int | None, typer.Option("--id", help="The dead letter to deliver.", min=1)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Deliver all of them, in order.")] = False,
) -> None:
    """Deliver dead letters again; those that arrive are removed.

    It ends with the first that fails; that one and those after it stay.
    """
    if (letter_id is None) != every:
        raise typer.BadParameter("give either --id or --all")
    settings = settings_of()
    chosen = _configured(settings, sink)

    async def deliver(feed: FeedStore) -> int:
        opened = open_sink(chosen)
        try:
            return await redeliver(feed, opened, letter_id)
        finally:
            await opened.close()

    delivered = run_with_store(settings, lambda store: deliver(store.feed))
    typer.echo(f"delivered {delivered}")


def _configured(settings: Settings, sink: str) -> SinkSettings:
    for each in settings.sinks:
        if each.name == sink:
            return each
    known = ", ".join(each.name for each in settings.sinks) or "no sinks"
    raise failed(f"RUNSTORE_SINKS does not have {sink!r}; it has {known}", ExitCode.USAGE)


async def _letters(feed: FeedStore, sink: str) -> list[tuple[DeadLetter, FeedEntry | None]]:
    """The letters with their entries."""
    return [
        (letter, await feed.read_entry(letter.position)) async for letter in letters_of(feed, sink)
    ]


async def _standings(feed: FeedStore, settings: Settings) -> list[Standing]:
    positions = {duty.name: duty.position for duty in await feed.list_duties()}
    last = (await feed.read_for_duty(EVERY_PROJECT, 1, limit=1)).last_position
    return [
        Standing(
            name=sink.name,
            kind=sink.kind,
            position=positions.get(sink_duty(sink.name), 0),
            last_position=last,
            dead_letters=len([letter async for letter in letters_of(feed, sink.name)]),
        )
        for sink in settings.sinks
    ]


def _print_standings(rows: list[Standing]) -> None:
    headings = ("sink", "kind", "position", "lag, at most", "dead letters")
    cells = (
        (
            row.name,
            row.kind,
            str(row.position),
            str(row.last_position - row.position),
            str(row.dead_letters),
        )
        for row in rows
    )
    print_table(headings, cells, numbers=headings[2:])
