"""The LangGraph saver against the conformance suite, and what it stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import runstore
from clients.langgraph.checkpoints import NewSaver, config_of, put, stored
from e2e.servers import ServerProcess
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.conformance.capabilities import Capability
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.serde.types import ERROR, INTERRUPT
from runstore.langgraph import RunstoreSaver
from runstore.langgraph.memory import KnownParts

LARGE = 200_000


class SyncSaver(RunstoreSaver):
    """The suite calls asynchronous methods; here these call the synchronous ones."""

    async def aget_tuple(self, config):
        return await asyncio.to_thread(self.get_tuple, config)

    async def alist(self, config, **asked):
        for found in await asyncio.to_thread(lambda: list(self.list(config, **asked))):
            yield found

    async def aput(self, *given):
        return await asyncio.to_thread(self.put, *given)

    async def aput_writes(self, *given, **named):
        return await asyncio.to_thread(lambda: self.put_writes(*given, **named))

    async def adelete_thread(self, thread_id):
        await asyncio.to_thread(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids):
        await asyncio.to_thread(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source, target):
        await asyncio.to_thread(self.copy_thread, source, target)

    async def aprune(self, thread_ids, *, strategy="keep_latest"):
        await asyncio.to_thread(lambda: self.prune(thread_ids, strategy=strategy))


@pytest.mark.parametrize("kind", [RunstoreSaver, SyncSaver])
async def test_the_conformance_suite_finds_all_capabilities_and_passes(
    kind: type[RunstoreSaver], served: ServerProcess, project: str
) -> None:
    @checkpointer_test(kind.__name__)
    async def factory() -> AsyncGenerator[RunstoreSaver]:
        async with kind(served.target, project=project) as saver:
            yield saver

    report = await validate(factory)

    results = report.results
    assert results.keys() == {each.value for each in Capability}
    assert [name for name, each in results.items() if not each.detected] == []
    assert [failure for each in results.values() for failure in each.failures] == []
    assert sum(each.tests_skipped for each in results.values()) == 0
    assert sum(each.tests_passed for each in results.values()) == 81


def test_a_channel_that_did_not_change_is_neither_sent_nor_stored_again(
    saver: RunstoreSaver, new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    text = "".join(str(uuid6()) for _ in range(LARGE // 36))
    config = put(saver, {"large": text, "n": 0})
    sent = []
    with runstore.Client(served.target, project=project) as client:
        client.run("thread")
    threads = saver._halves.sync().threads
    send = threads._connection.send

    def measured(call):
        sent.append(call.request.ByteSize())
        return send(call)

    threads._connection.send = measured
    for step in range(5):
        config = put(saver, {"large": text, "n": step}, config, new=("n",))

    assert max(sent) < 2_000
    other = new_saver()
    assert stored(other, config_of()).checkpoint["channel_values"] == {"large": text, "n": 4}
    with runstore.Client(served.target, project=project) as client:
        run = client.run("thread")
        ids = [each.snapshot_id for each in run.list_snapshots()]
        parts = {run.get_snapshot(each).state["channel/large"].sha256 for each in ids}
        assert len(ids) == 6
        assert len(parts) == 1
        freed = run.delete_snapshots(ids[:-1])
    assert freed.freed_bytes < 10_000, "what the first one has was not the others'"


def test_a_part_that_the_server_no_longer_has_is_sent_in_full(saver: RunstoreSaver) -> None:
    first = put(saver, {"large": "x" * LARGE})
    second = put(saver, {"n": 1}, first)
    saver.prune(["thread"])

    third = put(saver, {"large": "x" * LARGE}, second, new=())

    assert stored(saver, third).checkpoint["channel_values"] == {"large": "x" * LARGE}


def test_forgetting_which_parts_are_stored_changes_nothing(saver: RunstoreSaver) -> None:
    saver._halves._memory.parts = KnownParts(1)
    config = put(saver, {"a": "x" * LARGE, "b": "y" * LARGE})

    config = put(saver, {"a": "x" * LARGE, "b": "y" * LARGE}, config, new=())

    values = stored(saver, config).checkpoint["channel_values"]
    assert values == {"a": "x" * LARGE, "b": "y" * LARGE}


def test_values_of_equal_bytes_and_different_types_stay_apart(saver: RunstoreSaver) -> None:
    values = {"none": None, "bytes": b"", "array": bytearray(), "": 1, "n" * 300: 2}
    first = put(saver, values)

    second = put(saver, values, first, new=())

    found = stored(saver, second).checkpoint["channel_values"]
    assert found == values
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in values.items()
    }


def test_metadata_comes_back_as_it_was_put_and_is_found_by_equality(saver: RunstoreSaver) -> None:
    exact = {"source": "loop", "step": 1, "pair": [1, 2.0], "who": {"names": ["ü"]}, "set": {1}}

    config = put(saver, {}, metadata=exact)
    put(saver, {}, config, metadata={"source": "loop", "step": 2})

    assert stored(saver, config).metadata == exact
    for wanted in ({"step": 1}, {"who": {"names": ["ü"]}}, {"pair": [1, 2]}, {"set": {1}}):
        assert [each.config for each in saver.list(config_of(), filter=wanted)] == [config]
    assert not list(saver.list(None, filter={"set": {2}}))


def test_writes_are_ordered_by_path_then_task_then_index(saver: RunstoreSaver) -> None:
    config = put(saver, {})
    saver.put_writes(config, [("c", 1), ("c", 2)], "task-a", "~2")
    saver.put_writes(config, [("c", 3)], "task-c", "~1" + "x" * 300)
    saver.put_writes(config, [("c" * 300, 4)], "task-b")

    found = stored(saver, config).pending_writes

    assert found == [
        ("task-b", "c" * 300, 4),
        ("task-c", "c", 3),
        ("task-a", "c", 1),
        ("task-a", "c", 2),
    ]


def test_the_first_regular_write_stays_and_the_last_special_one_counts(
    saver: RunstoreSaver,
) -> None:
    config = put(saver, {})
    saver.put_writes(config, [("c", "first"), (ERROR, "one")], "task")

    saver.put_writes(config, [("c", "second"), (ERROR, "two"), ("d", "new")], "task")
    saver.put_writes(config, [(INTERRUPT, "wait")], "task")

    assert stored(saver, config).pending_writes == [
        ("task", INTERRUPT, "wait"),
        ("task", ERROR, "two"),
        ("task", "c", "first"),
        ("task", "d", "new"),
    ]


def test_more_writes_than_fit_in_one_request_are_stored(saver: RunstoreSaver) -> None:
    config = put(saver, {})
    writes = [("c", number) for number in range(2_500)]

    saver.put_writes(config, writes, "task")

    assert stored(saver, config).pending_writes == [("task", *each) for each in writes]


def test_a_checkpoint_put_again_is_replaced_and_keeps_its_writes(saver: RunstoreSaver) -> None:
    config = put(saver, {"a": 1})
    saver.put_writes(config, [("c", 1)], "task")
    checkpoint_id = config["configurable"]["checkpoint_id"]

    for value in (2, 3, 3):
        put(saver, {"a": value}, config, checkpoint_id=checkpoint_id)

    found = stored(saver, config_of())
    assert found.checkpoint["channel_values"] == {"a": 3}
    assert found.pending_writes == [("task", "c", 1)]
    assert len(list(saver.list(config_of()))) == 1


def test_an_encrypted_checkpoint_shows_nothing_to_the_server(
    new_saver: NewSaver, served: ServerProcess, project: str
) -> None:
    saver = new_saver(serde=EncryptedSerializer(Rot(), JsonPlusSerializer()))
    config = put(saver, {"a": "a secret"})
    saver.put_writes(config, [("c", "a secret")], "task")

    found = stored(saver, config)

    assert found.checkpoint["channel_values"] == {"a": "a secret"}
    assert found.pending_writes == [("task", "c", "a secret")]
    with runstore.Client(served.target, project=project) as client:
        seen = client.run("thread").get_snapshot(config["configurable"]["checkpoint_id"])
    held = [*seen.state.values(), *(write.payload for write in seen.task_writes)]
    assert len(held) == 3
    assert not any(b"a secret" in part.data for part in held)


class Rot:
    """Looks like a cipher to the serializer."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "rot", bytes(each ^ 0x55 for each in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return bytes(each ^ 0x55 for each in ciphertext)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (config_of("x" * 201), "at most 200 characters, not 201"),
        (config_of(namespace="x" * 401), "at most 400 characters"),
        (config_of(namespace="\U0001f600" * 251), "1000 bytes, not 251 and 1004"),
        (config_of(checkpoint_id="x" * 201), "at most 200 characters"),
        ({"configurable": {}}, "thread_id"),
    ],
)
def test_names_that_the_store_cannot_have_are_refused_clearly(
    config: Any, says: str, saver: RunstoreSaver
) -> None:
    with pytest.raises(ValueError, match=says):
        saver.get_tuple(config)


def test_snapshots_of_other_clients_are_left_alone(
    saver: RunstoreSaver, served: ServerProcess, project: str
) -> None:
    config = put(saver, {"a": 1}, metadata={"source": "loop", "step": 1, "run_id": "r"})
    with runstore.Client(served.target, project=project) as client:
        run = client.run("thread")
        run.snapshot(state={"mine": 1}, snapshot_id="z", metadata={"run_id": "r"})

        assert stored(saver, config_of()).config == config
        assert [each.config for each in saver.list(config_of())] == [config]
        saver.delete_for_runs(["r"])
        saver.delete_thread("thread")

        assert [each.snapshot_id for each in run.list_snapshots()] == ["z"]
        assert saver.get_tuple(config_of()) is None
