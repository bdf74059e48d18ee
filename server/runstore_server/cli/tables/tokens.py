"""Tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.text import Text
from runstore import Token
from runstore_storage.contract import admin as contract

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.layout import print_table


def print_tokens(tokens: Sequence[Token] | Sequence[contract.Token]) -> None:
    """What each allows, and whether it still does."""
    if not tokens:
        typer.echo("no tokens")
        return
    now = datetime.now(UTC)
    rows = (
        (
            token.token_id,
            token.name,
            _state(token, now),
            time_cell(token.last_used_at),
            " ".join(map(str, token.grants)),
        )
        for token in tokens
    )
    print_table(("id", "name", "state", "last used", "grants"), rows, text_width=16)


def _state(token: Token | contract.Token, now: datetime) -> Text:
    if token.revoked_at:
        return Text("revoked", style="red")
    if token.expires_at <= now:
        return Text("expired", style="red")
    return Text(f"{(token.expires_at - now).days} d left", style="green")
