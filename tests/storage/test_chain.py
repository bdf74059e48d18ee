"""Every field of what is hashed counts, and hashes stay what they were.

The fields are read from the classes: a new one fails here until it has a value below, and is hashed
or stands among those that are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from fnmatch import fnmatchcase
from hashlib import sha256
from inspect import isfunction
from typing import Any

import pytest
from runstore_storage import chain
from runstore_storage.contract.configs import ConfigRef
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import Guard, Outcome, RunKey
from runstore_storage.contract.outputs import Completion, Output
from runstore_storage.contract.payloads import Payload, Ref
from runstore_storage.contract.runs import ExternalRef, ForkBase, NewFork, NewRun
from runstore_storage.contract.snapshots import PlanNode, Snapshot, SnapshotReason, TaskWrite
from runstore_storage.snapshots.manifests import NODE_PARTS, HashedParts
from runstore_storage.snapshots.putting import SnapshotPut
from runstore_storage.writing.resuming import Resume

EVENT = Event(
    type="tool.called",
    event_id="event",
    payload=Payload('{"city": "Łódź"}', "application/json"),
    node_id="node",
    actor="actor",
    model="model",
    tool="tool",
    tags=("first", "second"),
    usage=Usage(1, 2, 3, 4, 5),
    trace_parent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    occurred_at=datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
    subjects=("user-1", "user-2"),
)
SALT = bytes(range(16))
SNAPSHOT = Snapshot(
    namespace="namespace",
    snapshot_id="snapshot",
    parent_snapshot_id="parent",
    seq=7,
    plan_version_id="plan version",
    reason=SnapshotReason.PAUSE,
    nodes=(
        PlanNode(
            "node",
            "kind",
            ("facet", "other facet"),
            "status",
            Payload("1", "input"),
            Payload("2", "output"),
            Payload("3", "provenance"),
            Payload("4", "state"),
        ),
        PlanNode(
            "other node",
            "other kind",
            ("facet", "third facet"),
            "other status",
            Ref(sha256(b"1").digest()),
            Ref(sha256(b"5").digest()),
            Ref(sha256(b"6").digest()),
            Ref(sha256(b"7").digest()),
        ),
    ),
    pending_node_ids=("node", "other node"),
    state={"channel": Payload("8", "state"), "other": Ref(sha256(b"9").digest())},
    metadata=Payload('{"step": 1}', "application/json"),
)
OUTPUT = Output(
    payload=Payload(b"\x00\xff", "application/x-protobuf"),
    schema_hash="schema",
    plan_version_id="plan version",
    provenance=Payload('{"by": "me"}', "provenance"),
    statistics=Payload('{"calls": 3}', "statistics"),
)
COMPLETION = Completion(Outcome.FAILED, (EVENT, replace(EVENT, type="b")), OUTPUT, SNAPSHOT)
OLD_EVENT = replace(EVENT, subjects=())
OLD_COMPLETION = replace(COMPLETION, events=(OLD_EVENT, replace(OLD_EVENT, type="b")))
CONFIG_REFS = (
    ConfigRef("prompt", "greeting", 3, "sha256:00", "live"),
    ConfigRef("tool", "search", 4, "sha256:01", "canary"),
)
RUN = NewRun(
    project="project",
    run_id="run",
    plan_id="plan",
    objective="objective",
    plan=Payload('{"plan": 1}', "plan"),
    parent_run_id="parent run",
    external_ref=ExternalRef("temporal", "workflow", "https://example.com", owns_status=True),
    config_refs=CONFIG_REFS,
    tags=("first", "second"),
    labels={"team": "search", "tier": "gold"},
    completion=COMPLETION,
    fork_base=ForkBase("base run", 11),
    subjects=("user-1", "user-2"),
    salt=SALT,
)
FORK = NewFork(
    RunKey("project", "run"),
    at_seq=12,
    fork_run_id="fork",
    objective="objective",
    config_refs=CONFIG_REFS,
    tags=("first", "second"),
    labels={"team": "search", "tier": "gold"},
)
WRITE = TaskWrite("task", 13, "snapshot", "channel", Payload('"done"', "result"))
PUT = SnapshotPut(SNAPSHOT, (EVENT, replace(EVENT, type="b")), (WRITE,), Guard(14, 15), "request")
RESUME = Resume("namespace", "request", "actor", 16, 17)


@dataclass(frozen=True, slots=True)
class Link:
    """What `chain.link_hash` binds together."""

    previous: bytes
    seq: int
    recorded_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class ForkLink:
    """What `chain.fork_hash` binds together."""

    previous: bytes
    birth: bytes


@dataclass(frozen=True, slots=True)
class Salted:
    """What `chain.salted_hash` binds together."""

    hash: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is hashed of an event apart from its open fields."""

    event: Event
    salt: bytes


@dataclass(frozen=True, slots=True)
class Hashed:
    """A hash, a value with every field set, its golden hash, and the paths that it leaves out."""

    hash: Callable[[Any], bytes | str]
    value: Any
    golden: str
    left_out: tuple[str, ...] = ()


# A part is hashed by its content, also where it is sent as a reference to it.
PARTS = tuple(
    f"*{path}.{aspect}"
    for path in (*(f"nodes.?.{name}" for name in NODE_PARTS), "state.channel")
    for aspect in ("content_type", "content as bytes")
)

# What stays of an event when the rest is erased.
OPEN = (
    *("event.event_id", "event.type", "event.node_id", "event.model", "event.tool"),
    *("event.usage", "event.usage.*", "event.trace_parent", "event.occurred_at"),
)

HASHES = {
    "birth_hash": Hashed(
        chain.birth_hash,
        RUN,
        "fc5fe95cea874dc97f95e88e7401904c5dfe7dee1190856f6c533630bdca98b4",
        ("completion", "completion.*"),
    ),
    "birth_hash (without a salt)": Hashed(
        lambda run: chain.birth_hash(replace(run, salt=None)),
        RUN,
        "35f955d4d02bea18535e298e6f6d141937556f7f4fc042f3673ebb4744683ddb",
        ("completion", "completion.*", "salt"),
    ),
    "sealed_run_hash": Hashed(
        lambda run: chain.sealed_run_hash(run, run.salt or b""),
        RUN,
        "06b688556ddfd24161a6331e17223b9375884f76536d645ed53c9dd9b950bba1",
        (
            *("completion", "completion.*", "project", "run_id", "plan_id", "parent_run_id"),
            *("external_ref.system", "external_ref.id", "external_ref.owns_status"),
            *("config_refs*", "fork_base", "fork_base.*"),
        ),
    ),
    "save_hash": Hashed(
        chain.save_hash,
        RUN,
        "8aa8f4c8f718a6d1a829923cec3c8cda2ef607e222b068e12d3ce05822c22da5",
        (*PARTS, "salt"),
    ),
    "fork_request_hash": Hashed(
        chain.fork_request_hash,
        FORK,
        "ba85d891ecec02ff15df03746e3c406397d2758aa35e7bd81f0ab0777e524ccc",
        # The fork is looked up by these.
        ("key.project", "fork_run_id"),
    ),
    "event_hash": Hashed(
        lambda sealed: chain.event_hash(sealed.event, sealed.salt),
        Sealed(EVENT, SALT),
        "4317a02eb744c261604eb96c6f8f4d3f344bd83c9992ce2df85848c5b4b1140f",
    ),
    "event_hash (without a salt)": Hashed(
        chain.event_hash,
        EVENT,
        "8d969a40e89c2060277d6a48dfad97ae9718cb31d833aa900d091c80f983e664",
    ),
    "sealed_hash": Hashed(
        lambda sealed: chain.sealed_hash(sealed.event, sealed.salt),
        Sealed(EVENT, SALT),
        "4e136a9f0833c203e28ea987fdc34446868e73b5b56218ee5a04c04abe9823cd",
        OPEN,
    ),
    "open_event_hash": Hashed(
        lambda sealed: chain.open_event_hash(sealed.event, sealed.salt),
        Sealed(EVENT, SALT),
        "766fb2f675da801f7aaf76e9f953ae77647831344ec95f9f7c363893f87f3ace",
        ("event.payload", "event.payload.*", "event.actor", "event.tags*", "event.subjects*"),
    ),
    "salted_hash": Hashed(
        lambda salted: chain.salted_hash(salted.hash, salted.salt),
        Salted(b"hash", SALT),
        "6063681e4338cdfa3c9e866f9b1c56d184a2837b4f2e7f1f439106cf1a91d331",
    ),
    "link_hash": Hashed(
        lambda link: chain.link_hash(link.previous, link.seq, link.recorded_at, link.body),
        Link(b"previous", 18, datetime(2026, 1, 2, 3, 4, 5, 678, UTC), b"body"),
        "01a92567d410e20f9e2c79b6cfbe2ad0a418f93c3fd98722d40d6ab856e5c0fb",
    ),
    "fork_hash": Hashed(
        lambda link: chain.fork_hash(link.previous, link.birth),
        ForkLink(b"previous", b"birth"),
        "4ef9117939e527c401b4c4fad4906375e1185d4b2ce4be35610fb8f323812f39",
    ),
    "snapshot_hash": Hashed(
        chain.snapshot_hash,
        SNAPSHOT,
        "c402039b4c199f4fd168ffbccd85be06df9612067379bc948cc7d2a7f97a9b90",
        PARTS,
    ),
    "task_write_hash": Hashed(
        chain.task_write_hash,
        WRITE,
        "e35d8bab225636d1989cb0dbc455bae04af5df875c471c3c693698631496e8aa",
        # The task write is looked up by these.
        ("task_id", "index", "snapshot_id"),
    ),
    "completion_hash": Hashed(
        chain.completion_hash,
        COMPLETION,
        "57c49107aaf74a04aa8c8393215fa9b8d3697088c13d32c8e887c5c33ae9315e",
        PARTS,
    ),
    "output_hash": Hashed(
        chain.output_hash,
        OUTPUT,
        "302f86efdc123e73be66d3839181089806cd7d076ce7fdf806ab05f141796672",
    ),
    "config_digest": Hashed(
        chain.config_digest,
        EVENT.payload,
        "sha256:1a7ef2f1b13bcccfbd9833b7f041f88ef7e2bf6452d59ea927812432577ef89d",
    ),
    "part_hash": Hashed(
        chain.part_hash,
        EVENT.payload,
        "773be5affdda7984f2fccb195c611317474b8cef0fd3a5324e37b1a3720396a9",
        ("content_type", "content as bytes"),
    ),
    "request_hash (put_snapshot)": Hashed(
        lambda put: put._body_hash(HashedParts(put.snapshot)),
        PUT,
        "cb99c8744e5f0a8bf3fd7d05c2cd2cb100f097e08dcd1268e7020ec76c76f435",
        # The request is looked up by its id; the guard says when it is taken, not what it is.
        (*PARTS, "guard.*", "request_id"),
    ),
    "request_hash (resume)": Hashed(
        lambda resume: resume.body_hash,
        RESUME,
        "4a2d9d709d97a476ae5109cef20b3b2c49b534a3af68ef5bf1e1ea2009de71e8",
        # As above; the limit is of the answer.
        ("request_id", "limit", "expected_seq"),
    ),
}

BARE: list[tuple[Callable[[Any], bytes | str], Any, str]] = [
    # As it was before there were subjects and salts.
    (
        chain.birth_hash,
        replace(RUN, subjects=(), salt=None),
        "8d3ac1db268cec7e40e2e41015cb6f98ef3fb1926e637a6fc9a13f4406550552",
    ),
    (
        chain.save_hash,
        replace(RUN, subjects=(), completion=OLD_COMPLETION),
        "76aa2db44096a7e2bc43079e6249fafe1541501d5c05b5818a65e667aa2e3cbe",
    ),
    (
        chain.event_hash,
        OLD_EVENT,
        "f9305a6d7cd73eb3ade5f4f83dbba2a35829c8a5792aa9c4a810ab30665a37db",
    ),
    (
        chain.completion_hash,
        OLD_COMPLETION,
        "123cc49c6e54ff947ece3fb68baaaf8d18bfa34d792cbeabee4aa0e9a7386688",
    ),
    (
        chain.birth_hash,
        NewRun("", "", salt=SALT),
        "c4d110f58e28ab9168d475f57a977df0a2317c605cd94fc7d09e7aece3a4b7c4",
    ),
    (
        lambda event: chain.event_hash(event, SALT),
        Event(""),
        "66b59962a5a681cdd5212eb0ac3fddabdfe046e18f5ef099e56b16f2dc29bc30",
    ),
    (
        chain.birth_hash,
        NewRun("", ""),
        "76391154bab8f096a3b2f67b0b143782121191ce8649cea86791abb31293c139",
    ),
    (
        chain.save_hash,
        NewRun("", ""),
        "d36bfe422db4c64dbced20e1875e4e2a20c79599ef37a0396e23c52801a3ec18",
    ),
    (
        chain.fork_request_hash,
        NewFork(RunKey("", "")),
        "ae5e807cb21c58816cef5c78973ce565cb4d1d154bc2251e5fd064b71d6e6afa",
    ),
    (
        chain.event_hash,
        Event(""),
        "a8fc1f99c54e5d9dc37053de2829f1cd70130a79cbb72b7ea98aff77ecef03a8",
    ),
    (
        chain.event_hash,
        Event("", payload=Payload(b""), usage=Usage()),
        "b89de813c67e8b1eebcfc020a49d97d24b92f9d1dd8632b61160b2893df94268",
    ),
    (
        chain.snapshot_hash,
        Snapshot(nodes=(PlanNode(""),), state={"": Payload("")}),
        "67ecec3b16d9a6fb892b5e9df7156fe5513bac5ac95aae24a683e8c812ce0dc9",
    ),
    (
        chain.task_write_hash,
        TaskWrite("", 0),
        "75a61420fb10951f3c0157bde7cffe37a99dfca3a1504e6beab382b8319b1956",
    ),
    (
        chain.completion_hash,
        Completion(Outcome.UNSPECIFIED),
        "3e5f1120e798e379913a3ad940933b7ced65397e89182a442787baa94503d275",
    ),
    (
        chain.output_hash,
        Output(),
        "9d4e03c4cd3331d61d3fae4eabc429ebed71aa3baf9c5aa9a9a34c797338aeb3",
    ),
    (
        chain.config_digest,
        Payload(""),
        "sha256:2486055e8f7b40816e23f77469a0b513d4206d9fbe65fdb859ced958814744c5",
    ),
]
"""Hashes of values that have as little set as possible."""


def changes(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The value with one thing changed, in every place and way there is, each with its path."""
    if is_dataclass(value):
        yield from _changed_fields(value, path)
    elif isinstance(value, Mapping):
        yield from _changed_entries(value, path)
    elif isinstance(value, RunKey):
        for name, old in value._asdict().items():
            for where, new in changes(old, f"{path}.{name}"):
                yield where, value._replace(**{name: new})
    elif isinstance(value, tuple):
        yield from _changed_items(value, path)
    else:
        yield path, _other(value)


def _changed_fields(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for field in fields(value):
        name, old = f"{path}.{field.name}".lstrip("."), getattr(value, field.name)
        for where, new in changes(old, name):
            yield where, replace(value, **{field.name: new})
        if field.default is None:
            yield name, replace(value, **{field.name: None})
    if isinstance(value, Payload):
        content = value.data if isinstance(value.content, str) else "ÿ"
        yield f"{path}.content as bytes".lstrip("."), replace(value, content=content)


def _changed_entries(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for name, old in value.items():
        others = {key: each for key, each in value.items() if key != name}
        for where, new in changes(old, f"{path}.{name}"):
            yield where, {**others, name: new}
        yield f"{path} without {name}", others
        yield f"{path} with {name} renamed", {**others, f"{name}x": old}


def _changed_items(value: tuple[Any, ...], path: str) -> Iterator[tuple[str, Any]]:
    for place, old in enumerate(value):
        before, after = value[:place], value[place + 1 :]
        for where, new in changes(old, f"{path}.{place}"):
            yield where, (*before, new, *after)
        yield f"{path} without {place}", (*before, *after)
        yield f"{path} with {place} twice", (*before, old, old, *after)
    if len(value) > 1:
        yield f"{path} in another order", value[::-1]
    if all(isinstance(each, str) for each in value):
        yield f"{path} run together", ("".join(value),)


def _other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, IntEnum):
        return next(each for each in type(value) if each is not value)
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return value + {int: 1, str: "x", bytes: b"x"}[type(value)]


def unset(value: Any, path: str = "") -> Iterator[str]:
    """The paths of the fields within a value that have their default, or are empty."""
    inside: Mapping[Any, Any] = {}
    if is_dataclass(value):
        inside = {field.name: getattr(value, field.name) for field in fields(value)}
        yield from (
            f"{path}.{field.name}"
            for field in fields(value)
            if field.default is not MISSING and inside[field.name] == field.default
        )
    elif isinstance(value, Mapping):
        inside = value
    elif isinstance(value, tuple):
        inside = dict(enumerate(value))
    elif not value:
        yield path
    for name, each in inside.items():
        yield from unset(each, f"{path}.{name}")


def test_every_hash_has_a_value_here() -> None:
    public = {name for name, each in vars(chain).items() if isfunction(each)}

    # These hash whatever they are given, and these several at once: storage/writing/test_plain.py.
    of_any, of_many = {"canonical", "digest"}, {"links", "plain_hashes"}
    # What is left of an event is hashed in storage/contract/test_erasures.py.
    of_erased = {"recorded_hash"}
    assert {name.split()[0] for name in HASHES} == public - of_any - of_many - of_erased


@pytest.mark.parametrize("name", HASHES)
def test_the_value_has_every_field_set(name: str) -> None:
    assert not list(unset(HASHES[name].value))


@pytest.mark.parametrize("name", HASHES)
def test_a_hash_is_what_it_was(name: str) -> None:
    hashed = HASHES[name]

    found = hashed.hash(hashed.value)

    assert (found if isinstance(found, str) else found.hex()) == hashed.golden


@pytest.mark.parametrize(("hash_of", "value", "golden"), BARE)
def test_a_hash_without_fields_is_what_it_was(
    hash_of: Callable[[Any], bytes | str], value: Any, golden: str
) -> None:
    found = hash_of(value)

    assert (found if isinstance(found, str) else found.hex()) == golden


def test_a_canonical_text_is_the_length_and_the_bytes_of_each_field() -> None:
    text = chain.canonical("é", b"", 12)

    assert text == b"\0\0\0\0\0\0\0\2\xc3\xa9" + b"\0" * 8 + b"\0\0\0\0\0\0\0\00212"


@pytest.mark.parametrize("name", HASHES)
def test_a_change_of_any_field_changes_the_hash(name: str) -> None:
    hashed = HASHES[name]
    seen = {hashed.hash(hashed.value): "no change"}
    same = {}

    for path, value in changes(hashed.value):
        if any(fnmatchcase(path, pattern) for pattern in hashed.left_out):
            assert hashed.hash(value) == hashed.hash(hashed.value), path
        elif found := seen.setdefault(hashed.hash(value), path):
            same |= {path: found} if found != path else {}

    assert not same


def test_the_order_of_a_maps_entries_is_not_hashed() -> None:
    turned = replace(RUN, labels=dict(reversed(RUN.labels.items())))
    turned_state = replace(SNAPSHOT, state=dict(reversed(SNAPSHOT.state.items())))

    assert chain.birth_hash(turned) == chain.birth_hash(RUN)
    assert chain.snapshot_hash(turned_state) == chain.snapshot_hash(SNAPSHOT)


def test_a_part_sent_as_a_reference_is_hashed_as_its_content() -> None:
    sent = replace(SNAPSHOT, state={"a": Payload("1"), "b": Payload("1")})
    referred = replace(sent, state={"a": Ref(sha256(b"1").digest()), "b": Payload("1")})

    assert chain.snapshot_hash(sent) == chain.snapshot_hash(referred)
