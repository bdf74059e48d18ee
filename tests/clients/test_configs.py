"""The client's configs, asynchronous and synchronous."""

import asyncio

import pytest
import runstore
from runstore import ConfigFilter, ConfigRef, LabelMove, Payload, RunQuery


async def test_a_config_is_registered_labelled_and_read(client: runstore.AsyncClient) -> None:
    configs = client.configs
    first = await configs.register(
        "prompt",
        "greeting",
        {"text": "hi"},
        labels=["live"],
        metadata={"owner": "ann"},
        actor="ann",
    )
    second = await configs.register("prompt", "greeting", b"\x00\xff", description="binary")

    moved = await configs.set_label("prompt", "greeting", "live", 2, expected_version=1)

    assert (first.version, second.version, first.deduplicated) == (1, 2, False)
    assert (moved.from_version, moved.to_version) == (1, 2)
    found = await configs.get("prompt", "greeting", label="live")
    assert (found.body, found.labels, found.description) == (
        Payload(b"\x00\xff"),
        ("live",),
        "binary",
    )
    old = await configs.get("prompt", "greeting", digest=first.digest)
    assert old.body is not None
    assert old.metadata is not None
    assert (old.body.value(), old.metadata.value()) == ({"text": "hi"}, {"owner": "ann"})
    assert (await configs.get("prompt", "greeting", version=1)) == old
    assert [each.version async for each in configs.versions("prompt", "greeting")] == [2, 1]
    moves = [each async for each in configs.label_moves("prompt", "greeting", "live")]
    assert [(each.from_version, each.to_version) for each in moves] == [(1, 2), (0, 1)]
    assert moves[1].actor == "ann"


@pytest.mark.parametrize("body", [{"a": [1.5, "ä"]}, "text", None, b"", Payload("1 ", "text/x")])
async def test_the_digest_can_be_computed_without_the_server(
    client: runstore.AsyncClient, body: object
) -> None:
    registered = await client.configs.register("tool", "x", body)

    assert registered.digest == runstore.config_digest(body)


async def test_configs_are_listed(client: runstore.AsyncClient) -> None:
    for kind, name in (("tool", "b"), ("prompt", "ab"), ("prompt", "a")):
        await client.configs.register(kind, name, 1, labels=["live"])

    listed = [config async for config in client.configs.list()]
    some = [config.name async for config in client.configs.list("prompt", name_prefix="ab")]

    assert [(each.kind, each.name) for each in listed] == [
        ("prompt", "a"),
        ("prompt", "ab"),
        ("tool", "b"),
    ]
    assert (listed[0].latest.version, listed[0].labels[0].label) == (1, "live")
    assert some == ["ab"]


async def test_a_label_is_removed_and_refused(client: runstore.AsyncClient) -> None:
    await client.configs.register("prompt", "x", 1, labels=["live"])

    with pytest.raises(runstore.LabelConflict) as caught:
        await client.configs.remove_label("prompt", "x", "live", expected_version=2)
    removed = await client.configs.remove_label("prompt", "x", "live", expected_version=1)
    again = await client.configs.remove_label("prompt", "x", "live")

    assert caught.value.current_version == 1
    assert (removed.from_version, removed.to_version) == (1, 0)
    assert again == LabelMove("live", 0, 0, "", None)
    with pytest.raises(runstore.ConfigLabelNotFound):
        await client.configs.get("prompt", "x", label="live")
    with pytest.raises(runstore.ConfigVersionNotFound):
        await client.configs.set_label("prompt", "x", "live", 2)
    with pytest.raises(runstore.ConfigNotFound):
        await client.configs.get("prompt", "y")
    with pytest.raises(TypeError):
        await client.configs.get("prompt", "x", label="live", version=1)


async def test_a_run_saved_by_label_keeps_its_version(client: runstore.AsyncClient) -> None:
    first = await client.configs.register("prompt", "x", 1, labels=["live"])
    refs = [ConfigRef("prompt", "x", label="live")]
    run = await client.save_run("o", run_id="run", config_refs=refs)
    await client.configs.register("prompt", "x", 2, labels=["live"])

    await client.save_run("o", run_id="run", config_refs=refs)

    assert (await run.get()).config_refs == (ConfigRef("prompt", "x", 1, first.digest),)
    query = RunQuery(config=ConfigFilter("prompt", "x", 1))
    assert [info.run_id async for info in client.list_runs(query)] == ["run"]
    other = RunQuery(config=ConfigFilter("prompt", "x", 2))
    assert [info.run_id async for info in client.list_runs(other)] == []


async def test_the_synchronous_client_does_the_same(server_address: str, project: str) -> None:
    def use() -> tuple[int, list[int], list[str]]:
        with runstore.Client(server_address, project=project) as client:
            client.configs.register("prompt", "x", 1)
            client.configs.register("prompt", "x", 2, labels=["live"])
            found = client.configs.get("prompt", "x", label="live")
            versions = [each.version for each in client.configs.versions("prompt", "x")]
            return found.version, versions, [each.name for each in client.configs.list()]

    assert await asyncio.to_thread(use) == (2, [2, 1], ["x"])
