"""runstore configs: versions of prompts, tools, agents and evaluators, and their labels."""

from __future__ import annotations

import mimetypes
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from runstore import Payload, Selector

from runstore_server.cli.connection import AsJson, Project, Target, connected
from runstore_server.cli.tables import configs as shown_configs

JSON_TYPE = "application/json"

app = typer.Typer(help="Versions of prompts, tools and agents.", no_args_is_help=True)

Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="prompt, tool, agent, evaluator or another.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name within the kind.")]
Actor = Annotated[str, typer.Option(help="Who does it, for the history.")]
Limit = Annotated[int, typer.Option(help="How many at most.", min=1)]


@app.command()
def ls(
    kind: Annotated[str, typer.Argument(help="Only this kind.")] = "",
    prefix: Annotated[str, typer.Option(help="Only names that begin so.")] = "",
    target: Target = None,
    project: Project = "default",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List configs with their latest version and their labels."""
    with connected(target, project) as client:
        found = list(islice(client.configs.list(kind, name_prefix=prefix), limit))
    shown_configs.configs(found, as_json=as_json)


@app.command()
def show(
    kind: Kind,
    name: Name,
    version: Annotated[int | None, typer.Option(help="By number.", min=1)] = None,
    digest: Annotated[str | None, typer.Option(help="By digest.")] = None,
    label: Annotated[str | None, typer.Option(help="By label.")] = None,
    only_body: Annotated[bool, typer.Option("--body", help="Write the body's bytes.")] = False,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Show one version, the latest unless another is chosen."""
    selector = _selector(version, digest, label)
    with connected(target, project) as client:
        found = client.configs.get(kind, name, **selector)
    if only_body:
        typer.echo(found.body.data if found.body else b"", nl=False)
    else:
        shown_configs.version(found, as_json=as_json)


@app.command()
def register(
    kind: Kind,
    name: Name,
    file: Annotated[Path, typer.Argument(help="The body; - reads standard input.")],
    label: Annotated[
        list[str] | None, typer.Option(help="Move this label to the version; repeatable.")
    ] = None,
    description: Annotated[str, typer.Option(help="What to know about it.")] = "",
    content_type: Annotated[
        str | None,
        typer.Option(help=f"Else the file name says it. {JSON_TYPE} is kept as JSON."),
    ] = None,
    actor: Actor = "",
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Register a file as the next version; one that is a version already stays that version."""
    body = _body(file, content_type)
    with connected(target, project) as client:
        registered = client.configs.register(
            kind, name, body, labels=label or (), description=description, actor=actor
        )
    shown_configs.registered(registered, as_json=as_json)


@app.command()
def label(
    kind: Kind,
    name: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label.")],
    version: Annotated[
        int | None, typer.Argument(help="The version to point to.", min=1, show_default=False)
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it instead.")] = False,
    expected: Annotated[
        int | None, typer.Option(help="Only where it is here now; 0: nowhere.", min=0)
    ] = None,
    actor: Actor = "",
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Point a label to a version. Runs that are saved keep their versions."""
    if (version is None) is not remove:
        raise typer.BadParameter("give a version, or --remove")
    with connected(target, project) as client:
        configs = client.configs
        move = (
            configs.remove_label(kind, name, label, expected_version=expected, actor=actor)
            if version is None
            else configs.set_label(
                kind, name, label, version, expected_version=expected, actor=actor
            )
        )
    shown_configs.move(move, as_json=as_json)


@app.command()
def history(
    kind: Kind,
    name: Name,
    label: Annotated[str, typer.Option(help="Only the moves of this label.")] = "",
    versions: Annotated[
        bool, typer.Option("--versions", help="The versions instead of the moves.")
    ] = False,
    target: Target = None,
    project: Project = "default",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show who moved which label when, newest first; or the versions."""
    with connected(target, project) as client:
        if versions:
            found = list(islice(client.configs.versions(kind, name), limit))
            shown_configs.versions(found, as_json=as_json)
        else:
            moves = list(islice(client.configs.label_moves(kind, name, label), limit))
            shown_configs.moves(moves, as_json=as_json)


def _selector(version: int | None, digest: str | None, label: str | None) -> Selector:
    selector = Selector()
    if version is not None:
        selector["version"] = version
    if digest is not None:
        selector["digest"] = digest
    if label is not None:
        selector["label"] = label
    if len(selector) > 1:
        raise typer.BadParameter("choose by one of --version, --digest and --label")
    return selector


def _body(file: Path, content_type: str | None) -> Payload:
    """The file's bytes; of a JSON file its text."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        type_ = content_type or mimetypes.guess_type(file.name)[0] or ""
        return Payload(data.decode()) if type_ == JSON_TYPE else Payload(data, type_)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8, as JSON must be") from None
