"""runstore configs: versions of prompts, tools, agents and evaluators, and their labels."""

from __future__ import annotations

import mimetypes
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from runstore import Client, Payload, Selector

from runstore_server.cli.connection import connected
from runstore_server.cli.options import AsJson, Limit, Project, Target
from runstore_server.cli.printing import print_json
from runstore_server.cli.tables import configs as tables
from runstore_server.json.configs import (
    config_value,
    label_move_value,
    registered_version_value,
    version_summary_value,
    version_value,
)

JSON_TYPE = "application/json"

app = typer.Typer(
    help="Register, label and show versions of prompts, tools, agents and evaluators.",
    no_args_is_help=True,
)

Kind = Annotated[
    str, typer.Argument(metavar="KIND", help="prompt, tool, agent, evaluator or any other kind.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The config's name within its kind.")]
Actor = Annotated[str, typer.Option(help="Who makes the change, for the record.")]


@app.command()
def ls(
    kind: Annotated[str, typer.Argument(help="Only this kind.")] = "",
    prefix: Annotated[str, typer.Option(help="Only names that begin with this.")] = "",
    target: Target = None,
    project: Project = "default",
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List configs with their latest versions and labels."""
    with connected(target, project) as client:
        found = list(islice(client.configs.list(kind, name_prefix=prefix), limit))
    if as_json:
        for config in found:
            print_json(config_value(config))
    else:
        tables.print_configs(found)


@app.command()
def show(
    kind: Kind,
    name: Name,
    version: Annotated[int | None, typer.Option(help="Choose by number.", min=1)] = None,
    digest: Annotated[str | None, typer.Option(help="Choose by digest.")] = None,
    label: Annotated[str | None, typer.Option(help="Choose by label.")] = None,
    only_body: Annotated[bool, typer.Option("--body", help="Write only the body's bytes.")] = False,
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Show a version with its body: the latest, unless another is chosen."""
    selector = _selector(version, digest, label)
    with connected(target, project) as client:
        found = client.configs.get(kind, name, **selector)
    if only_body:
        typer.echo(found.body.data if found.body else b"", nl=False)
    elif as_json:
        print_json(version_value(found))
    else:
        tables.print_version(found)


@app.command()
def register(
    kind: Kind,
    name: Name,
    file: Annotated[Path, typer.Argument(help="The file with the body; - reads standard input.")],
    label: Annotated[
        list[str] | None, typer.Option(help="Point this label to the version; repeatable.")
    ] = None,
    description: Annotated[str, typer.Option(help="Description of the version.")] = "",
    content_type: Annotated[
        str | None,
        typer.Option(
            help=f"Media type; else as the file's name says. {JSON_TYPE} is stored as JSON text."
        ),
    ] = None,
    actor: Actor = "",
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Register a file as the next version; a body that is a version already keeps its number."""
    body = _body(file, content_type)
    with connected(target, project) as client:
        registered = client.configs.register(
            kind, name, body, labels=label or (), description=description, actor=actor
        )
    if as_json:
        print_json(registered_version_value(registered))
    else:
        tables.print_registered(registered)


@app.command()
def label(
    kind: Kind,
    name: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="The label.")],
    version: Annotated[
        int | None, typer.Argument(help="The version to point to.", min=1, show_default=False)
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the label.")] = False,
    expected: Annotated[
        int | None,
        typer.Option(help="Only if it points to this version now; 0 means no version.", min=0),
    ] = None,
    actor: Actor = "",
    target: Target = None,
    project: Project = "default",
    as_json: AsJson = False,
) -> None:
    """Point a label to a version. Saved runs keep the versions they are pinned to."""
    if (version is None) is not remove:
        raise typer.BadParameter("give either a version or --remove")
    with connected(target, project) as client:
        configs = client.configs
        move = (
            configs.remove_label(kind, name, label, expected_version=expected, actor=actor)
            if version is None
            else configs.set_label(
                kind, name, label, version, expected_version=expected, actor=actor
            )
        )
    if as_json:
        print_json(label_move_value(move))
    else:
        tables.print_move(move)


@app.command()
def history(
    kind: Kind,
    name: Name,
    label: Annotated[str, typer.Option(help="Only moves of this label.")] = "",
    versions: Annotated[
        bool, typer.Option("--versions", help="List versions instead of moves.")
    ] = False,
    target: Target = None,
    project: Project = "default",
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the moves of labels, newest first; or the versions."""
    with connected(target, project) as client:
        if versions:
            _print_versions(client, kind, name, limit, as_json=as_json)
        else:
            _print_moves(client, kind, name, label, limit, as_json=as_json)


def _print_versions(client: Client, kind: str, name: str, limit: int, *, as_json: bool) -> None:
    found = list(islice(client.configs.versions(kind, name), limit))
    if as_json:
        for version in found:
            print_json(version_summary_value(version))
    else:
        tables.print_versions(found)


def _print_moves(
    client: Client, kind: str, name: str, label: str, limit: int, *, as_json: bool
) -> None:
    found = list(islice(client.configs.label_moves(kind, name, label), limit))
    if as_json:
        for move in found:
            print_json(label_move_value(move))
    else:
        tables.print_moves(found)


def _selector(version: int | None, digest: str | None, label: str | None) -> Selector:
    selector = Selector()
    if version is not None:
        selector["version"] = version
    if digest is not None:
        selector["digest"] = digest
    if label is not None:
        selector["label"] = label
    if len(selector) > 1:
        raise typer.BadParameter("choose by one of --version, --digest and --label only")
    return selector


def _body(file: Path, content_type: str | None) -> Payload:
    """The file's text if it is JSON, else its bytes."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        type_ = content_type or mimetypes.guess_type(file.name)[0] or ""
        return Payload(data.decode()) if type_ == JSON_TYPE else Payload(data, type_)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8, as JSON must be") from None
