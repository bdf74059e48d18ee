"""runstore sinks: how far deliveries have come, and what was given up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from runstore_storage.contract.feed import EVERY_PROJECT, DeadLetter, FeedStore, sink_duty

from runstore_server.cli.connection import AsJson
from runstore_server.cli.database import run_with_store
from runstore_server.cli.failures import failed
from runstore_server.cli.tables import runs as shown
from runstore_server.relay.delivery import PAYLOAD_LOST
from runstore_server.settings import Settings
from runstore_server.sinks.opening import open_sink
from runstore_server.sinks.sink import Sink

PAGE_LETTERS = 100

app = typer.Typer(
    help="Look after the sinks of RUNSTORE_SINKS, on the database of RUNSTORE_DATABASE_URL.",
    no_args_is_help=True,
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a sink has come."""

    name: str
    kind: str
    position: int
    last_position: int
    dead_letters: int


SinkName = Annotated[str, typer.Argument(metavar="SINK", help="The sink's name.")]


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the configured sinks, how far each has come, and its dead letters."""
    settings = Settings()
    rows = run_with_store(settings, lambda store: _standings(store.feed, settings))
    if as_json:
        for row in rows:
            typer.echo(json.dumps(asdict(row)))
        return
    if not rows:
        typer.echo("no sinks: RUNSTORE_SINKS is empty")
        return
    table = Table("sink", "kind", "position", "behind, at most", "dead letters", box=None)
    for row in rows:
        behind = row.last_position - row.position
        table.add_row(row.name, row.kind, str(row.position), str(behind), str(row.dead_letters))
    shown.console.print(table)


@app.command("dead-letters")
def dead_letters(sink: SinkName, as_json: AsJson = False) -> None:
    """List what a sink gave up: the entry, how often it was tried, and why."""

    async def found(feed: FeedStore) -> list[tuple[DeadLetter, str, int]]:
        return [
            (letter, entry.run_id if entry else "", entry.recorded.seq if entry else 0)
            async for letter in _letters(feed, sink)
            for entry in [await feed.read_entry(letter.position)]
        ]

    letters = run_with_store(Settings(), lambda store: found(store.feed))
    if as_json:
        for letter, run_id, seq in letters:
            typer.echo(json.dumps(_letter_json(letter, run_id, seq)))
        return
    if not letters:
        typer.echo(f"{sink} has no dead letters")
        return
    table = Table("id", "position", "run", "seq", "tries", "failed", "error", box=None)
    for letter, run_id, seq in letters:
        failed_at = shown.time(letter.failed_at) if letter.failed_at else ""
        table.add_row(
            *(str(letter.id), str(letter.position), Text(run_id), str(seq)),
            *(str(letter.attempts), failed_at, Text(letter.error)),
        )
    shown.console.print(table)


@app.command()
def replay(
    sink: SinkName,
    letter_id: Annotated[
        int | None, typer.Option("--id", help="The dead letter to deliver.", min=1)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Deliver all of them, in order.")] = False,
) -> None:
    """Deliver dead letters once more; what arrives is removed from them.

    Exits with 1 when one fails; those behind it stay.
    """
    if (letter_id is None) != every:
        raise typer.BadParameter("give either --id or --all")
    settings = Settings()
    chosen = next((each for each in settings.sinks if each.name == sink), None)
    if chosen is None:
        known = ", ".join(each.name for each in settings.sinks) or "nothing"
        raise failed(f"RUNSTORE_SINKS has no {sink!r}; it has {known}")

    async def deliver(feed: FeedStore) -> int:
        opened = open_sink(chosen)
        try:
            return await _replay(feed, opened, letter_id)
        finally:
            await opened.close()

    delivered = run_with_store(settings, lambda store: deliver(store.feed))
    typer.echo(f"delivered {delivered}")


async def _replay(feed: FeedStore, sink: Sink, letter_id: int | None) -> int:
    delivered = 0
    async for letter in _letters(feed, sink.name):
        if letter_id not in (None, letter.id):
            continue
        entry = await feed.read_entry(letter.position)
        if entry is None:
            raise failed(f"position {letter.position} is no longer in the feed")
        if entry.is_payload_lost:
            raise failed(f"delivered {delivered}; letter {letter.id}: {PAYLOAD_LOST}")
        (outcome,) = await sink.deliver([entry])
        if outcome:
            raise failed(f"delivered {delivered}; letter {letter.id} failed again: {outcome}")
        await feed.remove_dead_letter(letter.id)
        delivered += 1
    if letter_id and not delivered:
        raise failed(f"{sink.name} has no dead letter {letter_id}")
    return delivered


async def _letters(feed: FeedStore, sink: str) -> AsyncIterator[DeadLetter]:
    after = 0
    while page := await feed.list_dead_letters(sink, limit=PAGE_LETTERS, after=after):
        for letter in page:
            yield letter
        after = page[-1].id


async def _standings(feed: FeedStore, settings: Settings) -> list[Standing]:
    positions = {duty.name: duty.position for duty in await feed.list_duties()}
    last = (await feed.read_feed(EVERY_PROJECT, 1, limit=1)).last_position
    return [
        Standing(
            name=sink.name,
            kind=sink.kind,
            position=positions.get(sink_duty(sink.name), 0),
            last_position=last,
            dead_letters=len([letter async for letter in _letters(feed, sink.name)]),
        )
        for sink in settings.sinks
    ]


def _letter_json(letter: DeadLetter, run_id: str, seq: int) -> dict[str, object]:
    return {
        "id": letter.id,
        "position": letter.position,
        "run_id": run_id,
        "seq": seq,
        "attempts": letter.attempts,
        "failed_at": letter.failed_at.isoformat() if letter.failed_at else None,
        "error": letter.error,
    }
