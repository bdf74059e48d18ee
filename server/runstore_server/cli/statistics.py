"""runstore statistics: what events used, and the counts it is read from."""

from __future__ import annotations

from datetime import date, datetime
from itertools import islice
from typing import Annotated, get_args

import typer
from runstore import Dimension, StatisticsFields
from runstore_storage.contract.feed import USAGE_COUNTS

from runstore_server.cli.connection import AsJson, Labels, Project, Target, connected, labels_of
from runstore_server.cli.rebuild import rebuild_with_bar
from runstore_server.cli.tables import statistics as shown_statistics

app = typer.Typer(help="Add up what events used.", no_args_is_help=True)

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
KNOWN = ", ".join(DIMENSIONS)

_Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="In UTC, inclusive.")]
_Many = Annotated[list[str] | None, typer.Option(help="Only this; repeatable.")]


@app.command()
def show(
    target: Target = None,
    project: Project = "default",
    by: Annotated[
        list[str] | None,
        typer.Option(help=f"Tell apart: {KNOWN}; repeatable, up to three.", metavar="WHAT"),
    ] = None,
    by_label: Annotated[
        str, typer.Option(help="Tell apart by this label of the run too.", metavar="KEY")
    ] = "",
    run: _Many = None,
    descendants: Annotated[
        bool, typer.Option("--descendants", help="Count all below those runs too.")
    ] = False,
    roll_up: Annotated[
        bool, typer.Option("--roll-up", help="By run: count each as its topmost ancestor.")
    ] = False,
    plan: Annotated[str, typer.Option(help="Only runs of this plan.")] = "",
    label: Labels = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag; repeatable.")
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only this; repeatable.")
    ] = None,
    model: _Many = None,
    tool: _Many = None,
    node: _Many = None,
    from_day: _Day = None,
    to_day: _Day = None,
    limit: Annotated[int, typer.Option(help="Rows to show at most.", min=1)] = 1000,
    as_json: AsJson = False,
) -> None:
    """Show events, errors, tool calls, tokens, cost and time. Counts lag writes by a second."""
    fields: StatisticsFields = {
        "label_key": by_label,
        "run_ids": run or (),
        "include_descendants": descendants,
        "roll_up_to_root": roll_up,
        "plan_id": plan,
        "labels": labels_of(label),
        "tags": tag or (),
        "types": type_ or (),
        "models": model or (),
        "tools": tool or (),
        "node_ids": node or (),
    }
    fields |= _days(from_day and from_day.date(), to_day and to_day.date())
    dimensions = [_dimension(each) for each in by or ()]
    with connected(target, project) as client:
        found = client.statistics(dimensions, page_size=min(limit, 1000), **fields)
        rows = list(islice(found, limit))
    shown_statistics.rows(rows, dimensions, by_label, as_json=as_json)


@app.command()
def rebuild() -> None:
    """Empty the usage counts and count every published event again.

    Servers may go on meanwhile; statistics are incomplete until it is done.
    """
    counted = rebuild_with_bar(
        "counting entries of the feed",
        USAGE_COUNTS,
        lambda store: (store.feed.forget_usage, store.feed.count_usage),
    )
    typer.echo(f"counted {counted} entries")


def _dimension(name: str) -> Dimension:
    for known in DIMENSIONS:
        if known == name:
            return known
    raise typer.BadParameter(f"{name!r} is none of {KNOWN}")


def _days(from_day: date | None, to_day: date | None) -> StatisticsFields:
    fields: StatisticsFields = {}
    if from_day:
        fields["from_day"] = from_day
    if to_day:
        fields["to_day"] = to_day
    return fields
