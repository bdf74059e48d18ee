"""How hits of a search look."""

from __future__ import annotations

import json
from collections.abc import Sequence

import typer
from rich.table import Column, Table
from rich.text import Text
from runstore import SearchHit

from runstore_server.cli.tables.runs import console

_MATCHED = "bold yellow"


def hits(found: Sequence[SearchHit], *, as_json: bool) -> None:
    """A table with what matched made bright, or a JSON object a line."""
    if as_json:
        for hit in found:
            typer.echo(json.dumps(_json(hit)))
        return
    if not found:
        typer.echo("nothing found")
        return
    table = Table(Column("run", no_wrap=True), Column("seq", justify="right"), "recorded", "text")
    for hit in found:
        table.add_row(
            Text(hit.run_id), str(hit.seq), f"{hit.recorded_at:%Y-%m-%d %H:%M:%S}Z", _snippet(hit)
        )
    console.print(table)


def _snippet(hit: SearchHit) -> Text:
    shown = Text(hit.snippet)
    for start, length in hit.highlights:
        shown.stylize(_MATCHED, start, start + length)
    return shown


def _json(hit: SearchHit) -> dict[str, object]:
    return {
        "run_id": hit.run_id,
        "seq": hit.seq,
        "position": hit.position,
        "rank": hit.rank,
        "recorded_at": hit.recorded_at.isoformat(),
        "snippet": hit.snippet,
        "highlights": [list(each) for each in hit.highlights],
    }
