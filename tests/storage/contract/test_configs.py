"""ConfigStore keeps what its docstrings say."""

import asyncio
import hashlib
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import asyncpg
import pytest
from conftest import make_store
from runstore_storage.contract.configs import (
    NO_VERSION,
    Config,
    ConfigKey,
    ConfigStore,
    LabelChange,
    LabelMove,
    NewVersion,
    VersionSelector,
)
from runstore_storage.contract.errors import (
    ConfigLabelNotFound,
    ConfigNotFound,
    ConfigVersionNotFound,
    IdempotencyMismatch,
    LabelConflict,
)
from runstore_storage.contract.payloads import Payload
from runstore_storage.database.opening import connect
from runstore_storage.postgres import PostgresStore

WRITERS = 32
BODIES = [
    Payload('{"b":1.0,"a":"\\u0000","b":9223372036854775808}\n'),
    Payload(' [1e400, -0.0, "\\ud800"] ', "application/json"),
    Payload(bytes(range(256)), "application/octet-stream"),
    Payload(b""),
    Payload('"' + "ä" * 700_000 + '"'),
]


@pytest.fixture
def key(project: str) -> ConfigKey:
    return ConfigKey(project, "prompt", "greeting")


def version(key: ConfigKey, text: str, **fields: object) -> NewVersion:
    return NewVersion(key, Payload(f'"{text}"'), **fields)


async def registered(store: PostgresStore, key: ConfigKey, *texts: str) -> list[int]:
    return [(await store.configs.register_version(version(key, text))).version for text in texts]


async def history(store: PostgresStore, key: ConfigKey, label: str = "") -> list[tuple[int, int]]:
    moves = await store.configs.list_label_moves(key, label, limit=100, after=None)
    return [(move.from_version, move.to_version) for move in reversed(moves.items)]


async def place(store: PostgresStore, key: ConfigKey, label: str) -> int:
    return (await store.configs.get_version(key, VersionSelector(label=label))).version


@pytest.mark.parametrize("body", BODIES, ids=["json", "spaced", "binary", "empty", "large"])
async def test_a_version_comes_back_byte_for_byte(
    store: PostgresStore, key: ConfigKey, body: Payload
) -> None:
    metadata = Payload('{"z":1.0,"a":{"b":1,"b":2}}')
    new = NewVersion(key, body, "says hello", metadata, ("live", "a"), "ann")

    answer = await store.configs.register_version(new)

    found = await store.configs.get_version(key)
    assert (found.body, found.metadata) == (body, metadata)
    assert (found.kind, found.name, found.version) == ("prompt", "greeting", 1)
    assert (found.description, found.actor, found.labels) == ("says hello", "ann", ("a", "live"))
    assert (found.body_bytes, found.created_at) == (len(body.data), answer.created_at)
    assert (found.digest, answer.deduplicated) == (answer.digest, False)


async def test_the_digest_is_the_documented_one(store: PostgresStore, key: ConfigKey) -> None:
    answer = await store.configs.register_version(NewVersion(key, Payload('{"a": 1}', "text/x")))

    fields = (b"config", b"json", b"text/x", b'{"a": 1}')
    whole = b"".join(struct.pack(">Q", len(field)) + field for field in fields)
    assert answer.digest == "sha256:" + hashlib.sha256(whole).hexdigest()


async def test_versions_are_numbered_and_known_content_is_the_version_it_was(
    store: PostgresStore, key: ConfigKey
) -> None:
    numbers = await registered(store, key, "a", "b", "a", "c", "b")

    again = await store.configs.register_version(version(key, "a", description="other"))

    assert numbers == [1, 2, 1, 3, 2]
    assert (again.version, again.deduplicated) == (1, True)
    first = await store.configs.get_version(key, VersionSelector(version=1))
    assert (first.description, first.digest) == ("", again.digest)


async def test_what_differs_in_type_or_kind_is_another_version(
    store: PostgresStore, key: ConfigKey
) -> None:
    bodies = [Payload("1"), Payload(b"1"), Payload("1", "text/plain"), Payload("1 ")]

    answers = [await store.configs.register_version(NewVersion(key, body)) for body in bodies]

    assert [answer.version for answer in answers] == [1, 2, 3, 4]
    assert len({answer.digest for answer in answers}) == 4


async def test_names_kinds_and_projects_number_their_own(
    store: PostgresStore, project: str
) -> None:
    keys = [
        ConfigKey(project, "prompt", "a"),
        ConfigKey(project, "tool", "a"),
        ConfigKey(project, "prompt", "b"),
        ConfigKey(project + "/other", "prompt", "a"),
    ]

    answers = [await store.configs.register_version(version(key, "same")) for key in keys]

    assert [(answer.version, answer.deduplicated) for answer in answers] == [(1, False)] * 4
    assert len({answer.digest for answer in answers}) == 1


async def test_writers_of_the_same_content_make_one_version(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "first")

    answers = await asyncio.gather(
        *(store.configs.register_version(version(key, "same")) for _ in range(WRITERS))
    )

    assert {answer.version for answer in answers} == {2}
    assert sum(not answer.deduplicated for answer in answers) == 1


async def test_writers_of_different_contents_leave_no_gap(
    store: PostgresStore, key: ConfigKey
) -> None:
    answers = await asyncio.gather(
        *(
            store.configs.register_version(version(key, f"{n // 2}", labels=("live",)))
            for n in range(WRITERS)
        )
    )

    assert sorted({answer.version for answer in answers}) == list(range(1, WRITERS // 2 + 1))
    moves = await history(store, key)
    assert [before for before, _ in moves] == [0, *(after for _, after in moves[:-1])]
    assert await place(store, key, "live") == moves[-1][1]


async def test_a_version_is_found_by_number_digest_label_or_age(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a", "b", "c")
    second = await store.configs.get_version(key, VersionSelector(version=2))
    await store.configs.change_label(key, LabelChange("live", 2))

    by_digest = await store.configs.get_version(key, VersionSelector(digest=second.digest))
    by_label = await store.configs.get_version(key, VersionSelector(label="live"))

    assert by_digest == by_label
    assert (by_label.version, by_label.body) == (2, Payload('"b"'))
    assert (await store.configs.get_version(key)).version == 3


async def test_each_missing_thing_has_an_error_of_its_own(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a")
    other = ConfigKey(key.project, "prompt", "nobody")

    with pytest.raises(ConfigNotFound):
        await store.configs.get_version(other)
    with pytest.raises(ConfigVersionNotFound):
        await store.configs.get_version(key, VersionSelector(version=2))
    with pytest.raises(ConfigVersionNotFound):
        await store.configs.get_version(key, VersionSelector(digest="sha256:00"))
    with pytest.raises(ConfigLabelNotFound):
        await store.configs.get_version(key, VersionSelector(label="live"))
    with pytest.raises(ConfigNotFound):
        await store.configs.list_versions(other, limit=1, after=None)
    with pytest.raises(ConfigNotFound):
        await store.configs.list_label_moves(other, "", limit=1, after=None)
    with pytest.raises(ConfigNotFound):
        await store.configs.change_label(other, LabelChange("live", 1))
    with pytest.raises(ConfigVersionNotFound):
        await store.configs.change_label(key, LabelChange("live", 2))


async def test_versions_are_listed_newest_first_in_pages(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, *"abcde")

    pages, after = [], None
    while True:
        page = await store.configs.list_versions(key, limit=2, after=after)
        pages.append([each.version for each in page.items])
        assert all(each.body is None and each.body_bytes == 3 for each in page.items)
        after = page.next_after
        if after is None:
            break

    assert pages == [[5, 4], [3, 2], [1]]


async def test_configs_are_listed_by_kind_and_prefix_in_pages(
    store: PostgresStore, project: str
) -> None:
    names = [("agent", "z"), ("prompt", "a"), ("prompt", "a_b"), ("prompt", "ab"), ("tool", "a")]
    for kind, name in reversed(names):
        await registered(store, ConfigKey(project, kind, name), "1", "2")
    live = LabelChange("live", 1, actor="ann")
    await store.configs.change_label(ConfigKey(project, "prompt", "ab"), live)

    async def listed(kind: str, prefix: str, limit: int) -> list[Config]:
        found: list[Config] = []
        after: tuple[str, str] | None = None
        while True:
            page = await store.configs.list_configs(
                project, kind=kind, name_prefix=prefix, limit=limit, after=after
            )
            found += page.items
            after = page.next_after
            if after is None:
                return found

    for limit in (1, 2, 3, 100):
        assert [(each.kind, each.name) for each in await listed("", "", limit)] == names
        assert [each.name for each in await listed("prompt", "a", limit)] == ["a", "a_b", "ab"]
        assert [each.name for each in await listed("prompt", "a_", limit)] == ["a_b"]
        assert await listed("prompt", "%", limit) == await listed("nothing", "", limit) == []
    found = (await listed("prompt", "ab", 1))[0]
    assert (found.latest.version, found.latest.body) == (2, None)
    assert [(each.label, each.version, each.actor) for each in found.labels] == [("live", 1, "ann")]


async def test_a_label_moves_and_every_move_is_recorded(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a", "b")
    for change in (
        LabelChange("live", 1, actor="ann"),
        LabelChange("live", 2, actor="bob"),
        LabelChange("test", 2),
        LabelChange("live", NO_VERSION, actor="cid"),
        LabelChange("live", 1, actor="dan"),
    ):
        answer = await store.configs.change_label(key, change)
        assert not answer.deduplicated

    moves = await store.configs.list_label_moves(key, "live", limit=10, after=None)

    assert [(each.from_version, each.to_version, each.actor) for each in moves.items] == [
        (0, 1, "dan"),
        (2, 0, "cid"),
        (1, 2, "bob"),
        (0, 1, "ann"),
    ]
    times = [each.moved_at for each in moves.items]
    assert times == sorted(times, reverse=True)
    assert await history(store, key) == [(0, 1), (1, 2), (0, 2), (2, 0), (0, 1)]
    assert await place(store, key, "live") == 1


async def test_the_history_is_read_in_pages(store: PostgresStore, key: ConfigKey) -> None:
    await registered(store, key, "a", "b")
    for turn in range(7):
        await store.configs.change_label(key, LabelChange("live", 1 + turn % 2))
        await store.configs.change_label(key, LabelChange("test", 1 + turn % 2))

    for label, total in (("live", 7), ("", 14)):
        seen: list[LabelMove] = []
        after: int | None = None
        while True:
            page = await store.configs.list_label_moves(key, label, limit=3, after=after)
            seen += page.items
            after = page.next_after
            if after is None:
                break
        assert len(seen) == total
        whole = await store.configs.list_label_moves(key, label, limit=100, after=None)
        assert tuple(seen) == whole.items


async def test_a_label_that_already_points_there_does_not_move(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a")
    first = await store.configs.change_label(key, LabelChange("live", 1, actor="ann"))

    again = await store.configs.change_label(key, LabelChange("live", 1, 0, actor="bob"))
    gone = await store.configs.change_label(key, LabelChange("never", NO_VERSION, 7))

    assert (again.deduplicated, again.move.actor) == (True, "ann")
    assert again.move == LabelMove("live", 1, 1, "ann", first.move.moved_at)
    assert (gone.deduplicated, gone.move.moved_at) == (True, None)
    assert await history(store, key) == [(0, 1)]


async def test_an_expectation_that_fails_is_a_conflict(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a", "b", "c")
    await store.configs.change_label(key, LabelChange("live", 1, 0))

    for change in (LabelChange("live", 2, 3), LabelChange("live", 2, 0), LabelChange("live", 0, 2)):
        with pytest.raises(LabelConflict) as caught:
            await store.configs.change_label(key, change)
        assert caught.value.details["current_version"] == "1"
    with pytest.raises(LabelConflict):
        await store.configs.change_label(key, LabelChange("new", 2, 1))
    await store.configs.change_label(key, LabelChange("live", 2, 1))

    assert await history(store, key) == [(0, 1), (1, 2)]


async def test_one_of_many_writers_with_the_same_expectation_wins(
    store: PostgresStore, key: ConfigKey
) -> None:
    numbers = await registered(store, key, *map(str, range(WRITERS)))
    await store.configs.change_label(key, LabelChange("live", 1))

    answers = await asyncio.gather(
        *(store.configs.change_label(key, LabelChange("live", n, 1)) for n in numbers[1:]),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, LabelConflict) for answer in answers) == WRITERS - 2
    assert len(await history(store, key)) == 2


async def test_a_repeated_request_does_not_move_a_label_back(
    store: PostgresStore, key: ConfigKey
) -> None:
    await registered(store, key, "a", "b")
    change = LabelChange("live", 1, 0, request_id="r")
    first = await store.configs.change_label(key, change)
    await store.configs.change_label(key, LabelChange("live", 2))

    again = await store.configs.change_label(key, change)

    assert (again.move, again.deduplicated) == (first.move, True)
    assert await place(store, key, "live") == 2
    with pytest.raises(IdempotencyMismatch):
        await store.configs.change_label(key, LabelChange("live", 2, request_id="r"))


async def test_a_repeated_registration_does_not_move_labels_back(
    store: PostgresStore, key: ConfigKey
) -> None:
    first = version(key, "a", labels=("live", "test"), request_id="r")
    await store.configs.register_version(first)
    await store.configs.register_version(version(key, "b", labels=("live",)))

    again = await store.configs.register_version(first)
    moved = await store.configs.register_version(version(key, "a", labels=("test",)))

    assert (again.version, again.deduplicated, moved.version) == (1, True, 1)
    assert (await place(store, key, "live"), await place(store, key, "test")) == (2, 1)


async def test_a_refused_registration_writes_nothing(store: PostgresStore, key: ConfigKey) -> None:
    await store.configs.register_version(version(key, "a", labels=("live",), request_id="r"))

    with pytest.raises(IdempotencyMismatch):
        await store.configs.register_version(
            version(key, "b", labels=("x", "live"), request_id="r")
        )

    assert (await store.configs.get_version(key)).version == 1
    assert await history(store, key) == [(0, 1)]
    assert await registered(store, key, "c") == [2]


async def test_known_content_can_take_a_label_back(store: PostgresStore, key: ConfigKey) -> None:
    await store.configs.register_version(version(key, "a", labels=("live",)))
    await store.configs.register_version(version(key, "b", labels=("live",)))

    await store.configs.register_version(version(key, "a", labels=("live",)))

    assert await history(store, key) == [(0, 1), (1, 2), (2, 1)]


@asynccontextmanager
async def locked(
    database_url: str, db_schema: str, key: ConfigKey
) -> AsyncIterator[asyncpg.Connection]:
    """Hold the config's lock from a connection of its own, so that its writers wait."""
    conn = await connect(database_url, schema=db_schema, name="test")
    try:
        async with conn.transaction():
            await conn.execute("SELECT FROM configs WHERE project = $1 FOR UPDATE", key.project)
            yield conn
    finally:
        await conn.close()


async def until_it_waits(conn: asyncpg.Connection) -> None:
    async with asyncio.timeout(60):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        ):
            pass


@pytest.mark.parametrize(
    "write",
    [
        lambda configs, key: configs.register_version(version(key, "b", labels=("live",))),
        lambda configs, key: configs.change_label(key, LabelChange("live", 1)),
    ],
    ids=["register_version", "change_label"],
)
async def test_a_write_whose_call_is_cancelled_is_finished_before_the_store_closes(
    store: PostgresStore,
    database_url: str,
    db_schema: str,
    key: ConfigKey,
    write: Callable[[ConfigStore, ConfigKey], Coroutine[object, object, object]],
) -> None:
    await registered(store, key, "a")
    other = make_store(database_url, db_schema)

    async with locked(database_url, db_schema, key) as conn:
        call = asyncio.create_task(write(other.configs, key))
        await until_it_waits(conn)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        closing = asyncio.create_task(other.close())
        await asyncio.wait([closing], timeout=0.1)
        assert not closing.done()
    await closing

    latest = (await store.configs.get_version(key)).version
    assert await place(store, key, "live") == latest
    assert other._engine.in_use == 0
