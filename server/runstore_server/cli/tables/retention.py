"""Policies of retention, and what they would let go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import typer
from rich.text import Text
from runstore import Policy, RemovalKind, RetentionBlocker, RetentionPreview, RetentionSum

from runstore_server.cli.tables.cells import time_cell
from runstore_server.cli.tables.holds import selected_text
from runstore_server.cli.tables.layout import print_table

SPANS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
"""What a time is given in, such as 90d; the greatest first."""
_ITEMS = {
    RemovalKind.RUN: "events",
    RemovalKind.EVENTS: "events",
    RemovalKind.SNAPSHOTS: "snapshots",
    RemovalKind.ARTIFACTS: "artifacts",
    RemovalKind.SEARCH_TEXT: "events",
}
_BLOCKERS = {
    RetentionBlocker.HELD: "held",
    RetentionBlocker.IN_USE: "has forks",
    RetentionBlocker.UNREAD: "not read by all",
}


def print_policies(policies: Sequence[Policy]) -> None:
    """What each keeps for how long, of which runs."""
    if not policies:
        typer.echo("no policies: everything is kept")
        return
    rows = (
        (
            policy.name,
            _span(policy.keep_run),
            _span(policy.keep_events),
            _snapshots(policy),
            _span(policy.keep_artifacts),
            _span(policy.keep_search_text),
            time_cell(policy.put_at),
            str(policy.put_by),
            _runs(policy),
        )
        for policy in policies
    )
    titles = ("name", "run", "events", "snapshots", "artifacts", "search text", "put", "by", "of")
    print_table(titles, rows, text_width=16)


def print_preview(preview: RetentionPreview) -> None:
    """What would go, and what is kept although its time is over."""
    if preview.sums:
        rows = [_row(each) for each in preview.sums]
        titles = ("of", "goes", "runs", "items", "bytes", "such as")
        print_table(titles, rows, numbers={"runs", "bytes"}, text_width=16)
    else:
        typer.echo("nothing would go now")
    more = "; the project has more" if preview.has_more else ""
    typer.echo(f"runs looked at: {preview.looked_at_runs}{more}")
    for each in preview.warnings:
        typer.secho(f"warning: {each}", fg="yellow", err=True)


def _row(each: RetentionSum) -> Sequence[str | Text]:
    blocker = each.blocker
    return (
        str(each.kind).replace("_", " "),
        _goes(each.kind) if blocker is None else Text(f"no: {_BLOCKERS[blocker]}"),
        str(each.runs),
        f"{each.items} {_ITEMS.get(each.kind, '')}",
        str(each.bytes),
        " ".join(each.sample_run_ids[:3]),
    )


def _goes(kind: RemovalKind) -> Text:
    return Text("archived") if kind is RemovalKind.EVENTS else Text("yes", style="red")


def _snapshots(policy: Policy) -> str:
    last = f", last {policy.keep_last_snapshots} for ever" if policy.keep_last_snapshots else ""
    return _span(policy.keep_snapshots) + last


def _runs(policy: Policy) -> str:
    more = ", external ones too" if policy.include_external else ""
    return selected_text(policy.filter) + more


def _span(kept: timedelta | None) -> str:
    """The time in the greatest unit that it is a whole number of; "-" where nothing is said."""
    if kept is None:
        return "-"
    for name, unit in SPANS.items():
        if not kept % unit:
            return f"{kept // unit}{name}"
    return f"{kept.total_seconds()}s"
