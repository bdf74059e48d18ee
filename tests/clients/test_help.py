"""What people see of the client in a shell: documentation, signatures, and how values print."""

from __future__ import annotations

import inspect
import pydoc
import typing
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest
import runstore

HANDLES = [
    *(runstore.AsyncAdmin, runstore.AsyncArtifacts, runstore.AsyncClient, runstore.AsyncConfigs),
    *(runstore.AsyncFeed, runstore.AsyncRun, runstore.AsyncResumed),
    *(runstore.Admin, runstore.Artifacts, runstore.Client, runstore.Configs, runstore.Feed),
    *(runstore.Run, runstore.Resumed),
]
NOT_DOCUMENTED = {
    "BY_REASON",  # a dict
    "Dimension",  # a Literal
    "FeedItem",
    "StreamItem",
}


@pytest.mark.parametrize("name", sorted(set(runstore.__all__) - NOT_DOCUMENTED))
def test_every_public_name_has_a_docstring_of_its_own(name: str) -> None:
    value = getattr(runstore, name)
    written = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__

    assert written
    assert not written.startswith(f"{name}(")  # what a dataclass makes without one


@pytest.mark.parametrize("kind", [*HANDLES, runstore.RunstoreError], ids=lambda kind: kind.__name__)
def test_every_public_method_has_a_docstring(kind: type) -> None:
    silent = [
        name
        for name, value in vars(kind).items()
        if not name.startswith("_")
        and (callable(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]

    assert silent == []


METHODS = [
    method
    for kind in HANDLES
    for method in vars(kind).values()
    if inspect.isfunction(method)
    and any(
        p.kind is p.VAR_KEYWORD
        for p in inspect.signature(inspect.unwrap(method)).parameters.values()
    )
]


def test_no_signature_hides_fields() -> None:
    assert METHODS == []


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (runstore.AsyncClient.save_run, runstore.NewRunFields),
        (runstore.Client.save_run, runstore.NewRunFields),
        (runstore.AsyncRun.append, runstore.EventFields),
        (runstore.Run.snapshot, runstore.SnapshotFields),
        (runstore.Run.events, runstore.StreamFields),
        (runstore.Client.search, runstore.SearchFields),
        (runstore.Configs.register, runstore.RegisterFields),
        (runstore.AsyncFeed.follow, runstore.FollowFields),
    ],
    ids=lambda value: value.__qualname__,
)
def test_help_names_every_field(method: Callable[..., Any], fields: type) -> None:
    shown = pydoc.plain(pydoc.render_doc(method))

    for name in typing.get_type_hints(fields):
        assert f"{name}: " in shown
    assert "Unpack" not in shown


@pytest.mark.parametrize(
    "kind",
    [
        *(runstore.RunStatus, runstore.Outcome, runstore.SnapshotReason, runstore.RunOrder),
        *(runstore.Role, runstore.PrincipalKind),
    ],
)
def test_members_of_enums_print_as_words_and_count_as_numbers(kind: type[IntEnum]) -> None:
    for member in kind:
        word = member.name.lower()
        assert (str(member), f"{member}", f"{member:>20}") == (word, word, word.rjust(20))
        assert f"{member:d}" == str(member.value)
        assert member == member.value
        assert repr(member) == f"<{kind.__name__}.{member.name}: {member.value}>"


def test_handles_say_what_they_are() -> None:
    with runstore.Client("localhost:1", project="acme/search") as client:
        assert repr(client) == "<Client of localhost:1, project 'acme/search'>"
        assert repr(client.run("run-1")) == "<Run 'run-1' of project 'acme/search'>"
        assert (
            repr(client.run("run-1", writer_epoch=2))
            == "<Run 'run-1' of project 'acme/search', epoch 2>"
        )
        assert repr(client.feed) == "<Feed of project 'acme/search'>"
        assert repr(client.configs) == "<Configs of project 'acme/search'>"
        assert repr(client.admin) == "<Admin of project 'acme/search'>"
        assert repr(client.artifacts) == "<Artifacts of project 'acme/search'>"
        assert repr(client.appender()) == "<Appender to localhost:1, not open>"


async def test_asynchronous_handles_say_what_they_are() -> None:
    async with runstore.connect("localhost:1", project="acme/search") as client:
        assert repr(client) == "<AsyncClient of localhost:1, project 'acme/search'>"
        assert repr(client.run("run-1")) == "<AsyncRun 'run-1' of project 'acme/search'>"
        async with client.appender() as appender:
            assert repr(appender) == "<Appender to localhost:1, open>"
