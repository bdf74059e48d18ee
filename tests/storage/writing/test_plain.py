"""Plain events are accepted, hashed and stored as those that are decided one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prepared import prepared
from runstore_storage import chain
from runstore_storage.contract.errors import StorageError
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import NO_GUARD, Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.plain_events import NO_ORIGIN, PlainEvents
from runstore_storage.contract.scope import own
from runstore_storage.prepared_events import bytes_of
from runstore_storage.run_write import RunWrite
from runstore_storage.sql import appends
from runstore_storage.sql.appends import Move
from runstore_storage.sql.heads import Head
from runstore_storage.writing.lanes import Append
from runstore_storage.writing.plain import plain_write

NOW = datetime(2026, 1, 2, 3, 4, 5, 67, tzinfo=UTC)
RUN = own(RunKey("project", "run"))

TEXTS = st.text(max_size=3)
ORIGINS = st.just(NO_ORIGIN) | st.tuples(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
ROWS = st.tuples(
    st.sampled_from(["t", "é"]), st.none() | st.sampled_from(["{}", '"é"', "[ ]"]), ORIGINS
)
IDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True)
FRESH_IDS = st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True)
GUARDS = st.just(NO_GUARD) | st.builds(
    Guard, st.none() | st.integers(3, 6), st.none() | st.integers(1, 3)
)


@st.composite
def plain_events(draw: st.DrawFn) -> PlainEvents:
    ids = draw(IDS | FRESH_IDS)
    rows = [draw(ROWS) for _ in ids]
    types, texts, origins = zip(*rows, strict=True)
    return PlainEvents(ids, types, texts, origins)


def head(updated_at: datetime) -> Head:
    usage = Usage(1, 2, 3, 4, 5)
    return Head(7, 3, b"h" * 32, RunStatus.PAUSED, Outcome.UNSPECIFIED, 2, usage, updated_at, None)


def asked(events: PlainEvents, guard: Guard = NO_GUARD) -> Append:
    return Append(RUN, prepared(events), guard, 0, answered=None)  # type: ignore[arg-type]


def rows(*moves: Move) -> list[tuple[Any, ...]]:
    """What is stored of the events of some moves, in an order of its own."""
    columns = appends._columns(moves)
    stored = zip(*(columns[name] for name in sorted(columns.keys() - appends._SET)), strict=True)
    return sorted(stored, key=repr)


@given(plain_events(), st.booleans())
def test_columns_are_prepared_as_events_are(events: PlainEvents, salted: bool) -> None:
    given = prepared(events, salted=salted)
    one_by_one = prepared(tuple(events), salted=salted)

    assert tuple(given) == one_by_one
    assert list(given[1:]) == list(one_by_one[1:])
    assert bytes_of(given) == bytes_of(one_by_one)


@given(st.lists(st.tuples(plain_events(), GUARDS), min_size=1, max_size=3), st.integers(-1, 1))
def test_what_is_accepted_is_what_the_run_would_have_made_of_it(
    given: list[tuple[PlainEvents, Guard]], later: int
) -> None:
    before = head(NOW + timedelta(seconds=later))
    batch = [asked(*each) for each in given]
    decided = RunWrite(RUN, before, NOW)
    try:
        answers = [decided.append(tuple(each.events), each.guard, {}) for each in batch]
    except StorageError:
        assert plain_write(before, batch, NOW) is None
        return

    found = plain_write(before, batch, NOW)

    if any(each.deduplicated for answer in answers for each in answer):
        assert found is None
        return
    assert found is not None
    assert list(found.answers) == answers
    assert found.head == decided.head
    assert list(found.recorded()) == list(decided.recorded())
    laid_out = Move(RUN.scope, before, found.head, found.columns)
    assert rows(laid_out) == rows(Move(RUN.scope, before, decided.head, decided.new_events))


@given(plain_events(), plain_events())
def test_events_of_one_statement_are_stored_whole_however_they_come(
    events: PlainEvents, others: PlainEvents
) -> None:
    before = head(NOW)
    full = RunWrite(RUN, before, NOW)
    usage, at = Usage(1, 2, 3, 4, 5), NOW - timedelta(days=1)
    payload = Payload(b"\0", "image/png")
    full.append(
        prepared([Event("x", "", payload, tags=("t",), usage=usage, occurred_at=at)]),
        NO_GUARD,
        {},
    )
    plain = [plain_write(before, [asked(each)], NOW) for each in (events, others)]
    moves = [Move(RUN.scope, before, each.head, each.columns) for each in plain if each]
    of_full = Move(RUN.scope, before, full.head, full.new_events)

    together = rows(moves[0], of_full, moves[1])

    assert together == sorted(rows(moves[0]) + rows(of_full) + rows(moves[1]), key=repr)


def test_what_is_not_plain_is_not_accepted() -> None:
    events = PlainEvents(["a"], ["t"], [None], [NO_ORIGIN])
    other = Append(RUN, prepared([Event("t")]), NO_GUARD, 0, answered=None)  # type: ignore[arg-type]

    assert plain_write(head(NOW), [asked(events), other], NOW) is None


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(1, 10**12),
    st.datetimes(timezones=st.just(UTC)),
)
def test_links_are_made_one_after_another(previous: bytes, seq: int, at: datetime) -> None:
    bodies = [b"a" * 32, b"b" * 32]

    first, second = chain.links(previous, seq, at, bodies)

    assert first == chain.link_hash(previous, seq, at, bodies[0])
    assert second == chain.link_hash(first, seq + 1, at, bodies[1])
