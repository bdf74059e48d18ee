"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from runstore import RunSelection, RunStatus

STDOUT = Path("-")
"""What `--output` is for standard output."""

Target = Annotated[
    str | None,
    typer.Option(
        help="The server, as host:port, or grpcs://host:port for TLS. Else $RUNSTORE_TARGET, else"
        " localhost:7411."
    ),
]
Project = Annotated[str, typer.Option(help="The project.", envvar="RUNSTORE_PROJECT")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON, one object per line, written as docs/http.md says."),
]
ActReason = Annotated[
    str,
    typer.Option(
        help="Why, for people. It is kept in the record, so it should name nobody.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(help="The most to list.", min=1)]
FromSeq = Annotated[int, typer.Option(help="First seq to show.", min=0)]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only events of this type; repeatable.")
]
Statuses = Annotated[
    list[str] | None,
    typer.Option("--status", help="Only runs with this status, e.g. running; repeatable."),
]
PlanId = Annotated[str, typer.Option("--plan", help="Only runs of this plan.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="Only runs with this tag; repeatable.")
]
AllRuns = Annotated[bool, typer.Option("--all", help="All runs of the project.")]
ReadArchive = Annotated[
    bool,
    typer.Option("--read-archive", help="Read archived events, too; else they are refused."),
]
AllowGaps = Annotated[
    bool, typer.Option("--allow-gaps", help="Leave archived events out; else they end the list.")
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="Only runs with this label; repeatable.", metavar="KEY=VALUE"),
]


def labels_of(given: list[str] | None) -> dict[str, str]:
    """Labels given as KEY=VALUE."""
    labels: dict[str, str] = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{each!r} is not KEY=VALUE")
        labels[key] = value
    return labels


def status_of(name: str) -> RunStatus:
    """A status given by its name in lower case."""
    try:
        return RunStatus[name.upper()]
    except KeyError:
        known = ", ".join(status.name.lower() for status in RunStatus)
        raise typer.BadParameter(f"{name!r} is not one of {known}") from None


def selection_of(
    statuses: list[str] | None, plan_id: str, tags: list[str] | None, labels: list[str] | None
) -> RunSelection:
    """The runs that options select."""
    return RunSelection(
        [status_of(each) for each in statuses or ()], plan_id, tags or (), labels_of(labels)
    )
