"""Store.save_run resolves config references once, and list_runs finds runs by their pins."""

import pytest
from runstore_storage import chain
from runstore_storage.contract.configs import ConfigKey, ConfigRef, LabelChange, NewVersion
from runstore_storage.contract.errors import (
    ConfigLabelNotFound,
    ConfigNotFound,
    ConfigVersionNotFound,
    IdempotencyMismatch,
    RunNotFound,
)
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.payloads import Payload
from runstore_storage.contract.runs import NewRun, PinFilter, RunFilter, RunOrder
from runstore_storage.postgres import PostgresStore

# What the first release made of the request in the test of this name.
SAVED_BEFORE = "b4f2d6b117fb3e22676feb8b2e08805e86b4ad0a77ff73f64e73cf74bdb13327"


@pytest.fixture
async def digests(store: PostgresStore, project: str) -> dict[int, str]:
    """Digests of prompt "greeting", versions 1 to 3; label "live" points to 2."""
    key = ConfigKey(project, "prompt", "greeting")
    made = [
        await store.configs.register_version(NewVersion(key, Payload(f'"{text}"')))
        for text in "abc"
    ]
    await store.configs.change_label(key, LabelChange("live", 2))
    return {each.version: each.digest for each in made}


def ref(version: int = 0, digest: str = "", label: str = "") -> ConfigRef:
    return ConfigRef("prompt", "greeting", version, digest, label)


async def found_by(store: PostgresStore, project: str, pin: PinFilter) -> list[str]:
    page = await store.list_runs(
        project, RunFilter(config=pin), RunOrder.CREATED_ASC, limit=100, after=None
    )
    return [run.born.run_id for run in page.items]


async def test_each_way_to_name_a_version_becomes_number_and_digest(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    refs = (ref(1), ref(digest=digests[3]), ref(label="live"), ref(2, digests[2]))

    saved = await store.save_run(NewRun(project, "run", config_refs=refs))

    pins = tuple(ref(version, digests[version]) for version in (1, 3, 2, 2))
    assert saved.run.born.config_refs == pins
    assert (await store.get_run(saved.run.key)).born.config_refs == pins


async def test_the_runs_birth_covers_its_pins(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    new = NewRun(project, "run", config_refs=(ref(label="live"),))

    run = (await store.save_run(new)).run

    assert run.last_hash == chain.birth_hash(run.born)
    assert (await store.verify_run(run.key, from_seq=1, max_events=0)).problem == ""


@pytest.mark.parametrize("target", [1, 0])
async def test_the_same_request_after_a_label_moved_is_the_same_run(
    store: PostgresStore, project: str, digests: dict[int, str], target: int
) -> None:
    new = NewRun(project, "run", config_refs=(ref(label="live"),))
    first = await store.save_run(new)
    key = ConfigKey(project, "prompt", "greeting")
    await store.configs.change_label(key, LabelChange("live", target))

    again = await store.save_run(new)

    assert (again.deduplicated, again.run) == (True, first.run)
    assert again.run.born.config_refs == (ref(2, digests[2]),)


async def test_another_way_to_name_the_same_version_is_another_request(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    asked = [ref(2), ref(digest=digests[2]), ref(2, digests[2])]
    await store.save_run(NewRun(project, "run", config_refs=(ref(label="live"),)))

    for each in asked:
        with pytest.raises(IdempotencyMismatch):
            await store.save_run(NewRun(project, "run", config_refs=(each,)))


async def test_what_cannot_be_resolved_is_refused_and_saves_nothing(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    nobody = ConfigRef("prompt", "nobody", label="live")
    for refused, error in (
        (ref(4), ConfigVersionNotFound),
        (ref(digest="sha256:00"), ConfigVersionNotFound),
        (ref(label="test"), ConfigLabelNotFound),
        (nobody, ConfigNotFound),
        (ConfigRef("tool", "greeting", 1), ConfigNotFound),
        (ref(1, digests[2]), ConfigVersionNotFound),
        (ref(1, "sha256:00"), ConfigVersionNotFound),
        (ref(4, digests[1]), ConfigVersionNotFound),
    ):
        with pytest.raises(error):
            await store.save_run(NewRun(project, "run", config_refs=(ref(1), refused)))

    with pytest.raises(RunNotFound):
        await store.get_run(RunKey(project, "run"))


async def test_a_pin_that_is_kept_elsewhere_stays_as_given(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    refs = (
        ref(9, "git:0123"),
        ConfigRef("prompt", "elsewhere", 1, digests[1]),
        ConfigRef("model", "x", 2**63 - 1, "y"),
    )

    saved = await store.save_run(NewRun(project, "run", config_refs=refs))

    assert saved.run.born.config_refs == refs


async def test_another_projects_configs_are_not_seen(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    with pytest.raises(ConfigNotFound):
        await store.save_run(NewRun(project + "/other", "run", config_refs=(ref(label="live"),)))


def test_a_request_without_labels_is_hashed_as_ever() -> None:
    """Runs that were saved before references had labels are recognised by the same hash."""
    new = NewRun("p", "r", config_refs=(ConfigRef("prompt", "greeting", 3, "sha256:00"),))

    assert chain.save_hash(new).hex() == SAVED_BEFORE


async def test_runs_are_found_by_what_they_are_pinned_to(
    store: PostgresStore, project: str, digests: dict[int, str]
) -> None:
    for run_id, refs in {
        "one": (ref(1),),
        "two": (ref(2), ConfigRef("tool", "search", 2, "d")),
        "both": (ref(1), ref(3)),
        "none": (),
        "swapped": (ConfigRef("greeting", "prompt", 1, digests[1]),),
        "crossed": (ConfigRef("prompt", "other", 1, "x"), ConfigRef("tool", "greeting", 1, "y")),
        "same": (ConfigRef("prompt", "prompt", 1, "prompt"),),
    }.items():
        await store.save_run(NewRun(project, run_id, config_refs=refs))

    async def found(name: str = "greeting", version: int = 0, digest: str = "") -> list[str]:
        return await found_by(store, project, PinFilter("prompt", name, version, digest))

    assert await found() == ["one", "two", "both"]
    assert await found(version=1) == ["one", "both"]
    assert await found(digest=digests[2]) == ["two"]
    assert await found(version=3, digest=digests[3]) == ["both"]
    assert await found(version=3, digest=digests[1]) == []
    assert await found("prompt") == ["same"]
    assert await found("other") == ["crossed"]
