"""runstore statistics: the usage of events, added up; and the counts that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from itertools import islice
from typing import Annotated, get_args

import typer
from runstore import Dimension, StatisticsFields, StatisticsRow
from runstore_storage.contract import statistics as contract
from runstore_storage.contract.feed import STORED_BYTES, USAGE_COUNTS

from runstore_server.cli.connection import connected
from runstore_server.cli.options import AsJson, Labels, Limit, Project, Target, labels_of
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables.statistics import print_statistics
from runstore_server.convert.statistics import FIELDS
from runstore_server.json.statistics import statistics_row_value

MAX_PAGE = 1000

app = typer.Typer(help="Add up the usage of events.", no_args_is_help=True)

DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
KNOWN = ", ".join(DIMENSIONS)

_Day = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day in UTC, inclusive.")
]
_Many = Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")]


@app.command()
def show(
    target: Target = None,
    project: Project = "default",
    by: Annotated[
        list[str] | None,
        typer.Option(help=f"Group by {KNOWN}; repeatable, up to three.", metavar="WHAT"),
    ] = None,
    by_label: Annotated[
        str, typer.Option(help="Group by the value of this label of the run too.", metavar="KEY")
    ] = "",
    run: _Many = None,
    descendants: Annotated[
        bool, typer.Option("--descendants", help="Count all runs below those of --run too.")
    ] = False,
    roll_up: Annotated[
        bool, typer.Option("--roll-up", help="By run: count each run as its topmost ancestor.")
    ] = False,
    plan: Annotated[str, typer.Option(help="Only runs of this plan.")] = "",
    label: Labels = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only runs with this tag; repeatable.")
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only this one; repeatable.")
    ] = None,
    model: _Many = None,
    tool: _Many = None,
    node: _Many = None,
    from_day: _Day = None,
    to_day: _Day = None,
    limit: Limit = MAX_PAGE,
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
        found = client.statistics(dimensions, page_size=min(limit, MAX_PAGE), **fields)
        rows = [(_keys(row, dimensions, by_label), row) for row in islice(found, limit)]
    if as_json:
        for keys, row in rows:
            print_json(statistics_row_value(keys, row))
    else:
        print_statistics([*dimensions, *([by_label] if by_label else [])], rows)


@app.command()
def rebuild() -> None:
    """Empty the usage counts, and the sums of what is stored, and count everything again.

    Servers may keep running; statistics are incomplete, and limits of stored bytes hold nobody,
    until this is done.
    """
    from runstore_server.cli.rebuild import (  # noqa: PLC0415 - `show` needs no database
        rebuild_with_bar,
    )

    counted = rebuild_with_bar(
        "counting entries of the feed",
        USAGE_COUNTS,
        lambda store: (store.feed.forget_usage, store.feed.count_usage),
    )
    typer.echo(f"counted {counted} entries")
    summed = rebuild_with_bar(
        "adding up what is stored",
        STORED_BYTES,
        lambda store: (store.feed.forget_stored, store.feed.sum_stored),
    )
    typer.echo(f"added up what is stored, with {summed} entries")


def _keys(row: StatisticsRow, by: Sequence[Dimension], label_key: str) -> dict[str, str]:
    """What the row is grouped by, named as its fields."""
    dimensions = [contract.Dimension[each.upper()] for each in by]
    if label_key:
        dimensions.append(contract.Dimension.LABEL)
    return {FIELDS[each]: str(getattr(row, FIELDS[each]) or "") for each in dimensions}


def _dimension(name: str) -> Dimension:
    for known in DIMENSIONS:
        if known == name:
            return known
    raise typer.BadParameter(f"{name!r} is not one of {KNOWN}")


def _days(from_day: date | None, to_day: date | None) -> StatisticsFields:
    fields: StatisticsFields = {}
    if from_day:
        fields["from_day"] = from_day
    if to_day:
        fields["to_day"] = to_day
    return fields
