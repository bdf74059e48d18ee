"""The client's part in who may use the server, asynchronous and synchronous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
import runstore
from runstore import Grant, Limits, PrincipalKind, Role
from until import until


class Losing(grpc.GenericRpcHandler):
    """Serves a call as the server behind it does, but loses the first answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._is_lost = False

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        async def pass_on(request: bytes, context: Any) -> Any:
            answer = await self._channel.unary_unary(details.method)(request)
            if not self._is_lost:
                self._is_lost = True
                await context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
            return answer

        return grpc.unary_unary_rpc_method_handler(pass_on)


@pytest.fixture
async def losing_address(server_address: str) -> AsyncIterator[str]:
    async with grpc.aio.insecure_channel(server_address) as channel:
        server = grpc.aio.server(handlers=[Losing(channel)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        yield f"127.0.0.1:{port}"
        await server.stop(0)


async def test_a_server_that_asks_nobody_takes_everybody_for_anybody(
    client: runstore.AsyncClient,
) -> None:
    caller = await client.admin.who_am_i()

    assert (caller.principal.kind, caller.expires_at) == (PrincipalKind.ANYBODY, None)
    assert [str(each) for each in caller.grants] == ["admin@*", "operator@*"]


async def test_projects_are_listed_once_they_have_runs(
    client: runstore.AsyncClient, project: str
) -> None:
    before = [each async for each in client.admin.projects()]

    await client.save_run()

    after = [each async for each in client.admin.projects()]
    assert project not in before
    assert after == sorted({*before, project})


async def test_a_token_is_made_listed_and_revoked(client: runstore.AsyncClient) -> None:
    admin = client.admin
    first = await admin.create_token("ci", ["writer@acme/*", Grant(Role.READER, "*")])
    second = await admin.create_token("short", ["reader@acme"], lifetime=timedelta(hours=2))

    revoked = await admin.revoke_token(first.token.token_id)
    again = await admin.revoke_token(first.token.token_id)

    made = first.token
    assert first.secret.startswith(made.prefix + "_")
    assert (made.name, made.revoked_at, made.last_used_at) == ("ci", None, None)
    assert made.grants == (Grant(Role.WRITER, "acme/*"), Grant(Role.READER, "*"))
    assert made.created_by.kind is PrincipalKind.ANYBODY
    assert made.expires_at - made.created_at == timedelta(days=90)
    assert second.token.expires_at - second.token.created_at == timedelta(hours=2)
    assert revoked.revoked_at is not None
    assert again == revoked
    assert [each async for each in admin.tokens()] == [second.token, revoked]
    with pytest.raises(runstore.TokenNotFound):
        await admin.revoke_token("none")


async def test_a_token_of_the_server_is_of_no_project(client: runstore.AsyncClient) -> None:
    admin = client.admin

    made = await admin.create_token("ops", ["operator@*"], of_server=True)

    assert made.token in [each async for each in admin.tokens(of_server=True)]
    assert [each async for each in admin.tokens()] == []
    with pytest.raises(runstore.TokenNotFound):
        await admin.revoke_token(made.token.token_id)
    revoked = await admin.revoke_token(made.token.token_id, of_server=True)
    assert revoked.revoked_at is not None
    newest = await anext(admin.records(of_server=True))
    assert newest.resource == f"tokens/{made.token.token_id}"
    assert (await admin.verify_records(of_server=True)).verified


async def test_a_secret_is_not_printed(client: runstore.AsyncClient) -> None:
    made = await client.admin.create_token("ci", ["reader@acme"])

    assert made.secret not in repr(made)
    assert made.secret not in str(made)


async def test_a_token_whose_secret_was_lost_is_told_and_can_be_revoked(
    client: runstore.AsyncClient, losing_address: str, project: str
) -> None:
    async with runstore.connect(losing_address, project=project) as losing:
        with pytest.raises(runstore.TokenSecretLost) as caught:
            await losing.admin.create_token("ci", ["reader@acme"])

    lost = caught.value.token_id
    assert lost in str(caught.value)
    assert [each.token_id async for each in client.admin.tokens()] == [lost]
    assert (await client.admin.revoke_token(lost)).revoked_at is not None


async def test_limits_are_replaced(client: runstore.AsyncClient) -> None:
    none = await client.admin.limits()
    await client.admin.set_limits(calls_per_second=1001, streams=44)

    replaced = await client.admin.set_limits(
        events_per_second=5000, bytes_per_second=3000003, stored_bytes=10**12
    )

    now = await client.admin.limits()
    assert (none.limits, none.updated_at) == (Limits(0, 0, 0, 0, 0), None)
    assert none.stored_bytes_used == 0
    assert replaced == now.limits == Limits(0, 5000, 3000003, 0, 10**12)
    assert now.updated_at is not None


async def test_what_was_done_is_recorded_and_verified(client: runstore.AsyncClient) -> None:
    admin = client.admin
    token = (await admin.create_token("ci", ["reader@acme"])).token
    await admin.set_limits(streams=4)
    with pytest.raises(runstore.TokenNotFound):
        await admin.revoke_token("none")

    records = [each async for each in admin.records()]
    found = await admin.verify_records()
    last = await admin.verify_records(from_number=3)

    assert [(each.number, each.method, each.resource, each.status) for each in records] == [
        (3, "RevokeToken", "tokens/none", "TOKEN_NOT_FOUND"),
        (2, "SetLimits", "limits", "OK"),
        (1, "CreateToken", f"tokens/{token.token_id}", "OK"),
    ]
    assert [each.allowed for each in records] == [False, True, True]
    assert records[0].previous_hash == records[1].hash
    assert (found.verified, found.checked_records, found.last_number) == (True, 3, 3)
    assert found.last_hash == records[0].hash
    assert (last.verified, last.checked_records) == (True, 1)


async def test_listings_go_over_pages(client: runstore.AsyncClient) -> None:
    names = [f"token {number}" for number in range(103)]  # a page is 100
    for name in names:
        await client.admin.create_token(name, ["reader@acme"])

    tokens = [each.name async for each in client.admin.tokens()]
    records = [each.number async for each in client.admin.records()]

    assert tokens == names[::-1]
    assert records == [*range(103, 0, -1)]


def test_a_chain_that_has_a_problem_is_not_verified() -> None:
    found = runstore.RecordVerification(3, 9, b"", "record 4 is missing", 4)

    assert not found.verified


def test_a_grant_is_written_as_it_is_read() -> None:
    grant = Grant.parse("writer@acme/a@b")

    assert grant == Grant(Role.WRITER, "acme/a@b")
    assert str(grant) == "writer@acme/a@b"


async def test_the_synchronous_client_does_the_same(server_address: str, project: str) -> None:
    def use() -> tuple[bool, list[str], Limits, list[str]]:
        with runstore.Client(server_address, project=project) as client:
            made = client.admin.create_token("ci", ["writer@acme/*"])
            client.admin.revoke_token(made.token.token_id)
            client.admin.set_limits(streams=4)
            return (
                client.admin.verify_records().verified,
                [each.name for each in client.admin.tokens()],
                client.admin.limits().limits,
                [each.method for each in client.admin.records()],
            )

    verified, tokens, limits, methods = await asyncio.to_thread(use)

    assert verified
    assert (tokens, limits) == (["ci"], Limits(0, 0, 0, 4, 0))
    assert methods == ["SetLimits", "RevokeToken", "CreateToken"]


async def test_what_is_held_is_not_deleted(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="held", labels={"case": "7"})
    await run.snapshot(snapshot_id="s")
    one = await client.admin.place_hold("case 7", run_id="held")
    where = runstore.RunSelection([runstore.RunStatus.RUNNING], labels={"case": "7"})
    many = await client.admin.place_hold("all of it", filter=where)

    with pytest.raises(runstore.RunHeld) as refused:
        await run.delete_snapshots(["s"])

    assert refused.value.hold_id == one.hold_id
    assert (one.run_id, one.filter, one.reason) == ("held", None, "case 7")
    assert many.filter == runstore.RunSelection((runstore.RunStatus.RUNNING,), labels={"case": "7"})
    assert [hold.hold_id async for hold in client.admin.holds("held")] == [
        many.hold_id,
        one.hold_id,
    ]
    released = [await client.admin.release_hold(hold.hold_id) for hold in (one, many)]
    assert all(hold.released_at and hold.released_by for hold in released)
    assert [hold async for hold in client.admin.holds()] == []
    ended = [hold async for hold in client.admin.holds(include_released=True)]
    assert ended == released[::-1]
    await run.delete_snapshots(["s"])


async def test_policies_are_put_listed_previewed_and_ended(client: runstore.AsyncClient) -> None:
    admin, day = client.admin, timedelta(days=1)
    policy = runstore.Policy(
        "usual",
        keep_run=90 * day,
        keep_snapshots=timedelta(seconds=1.5),
        keep_last_snapshots=3,
        keep_artifacts=day,
        keep_search_text=7 * day,
        filter=runstore.RunSelection([runstore.RunStatus.FAILED], "plan", ("t",), {"l": "1"}),
        include_external=True,
    )

    kept = await admin.put_policy(policy, "terms", request_id="put")

    assert kept.put_by
    assert kept.put_at
    plain = replace(kept, put_by=None, put_at=None)
    where = replace(policy.filter, statuses=(runstore.RunStatus.FAILED,))
    assert plain == replace(policy, filter=where)
    again = await admin.put_policy(policy, "terms", request_id="put")
    assert again == kept
    assert [each async for each in admin.policies()] == [kept]
    run = await client.save_run(run_id="run")
    await run.complete(runstore.Outcome.SUCCEEDED)
    assert (await admin.preview_retention()).sums == ()
    preview = await admin.preview_retention(
        runstore.Policy("new", keep_run=timedelta(seconds=1)),
    )
    assert (preview.looked_at_runs, preview.has_more) == (1, False)
    await admin.delete_policy("usual", "terms")
    assert [each async for each in admin.policies()] == []
    with pytest.raises(runstore.PolicyNotFound):
        await admin.delete_policy("usual", "terms")
    with pytest.raises(runstore.InvalidRequest):
        await admin.put_policy(runstore.Policy("silent"), "terms")
    with pytest.raises(runstore.InvalidArgument, match="keep_run"):
        await admin.put_policy(runstore.Policy("p", keep_run=7), "terms")  # type: ignore[arg-type] # on purpose


def test_kinds_of_a_later_release_are_numbers_with_a_name() -> None:
    kind = runstore.RemovalKind(77)

    assert (kind, str(kind), kind.name) == (77, "unknown_77", "UNKNOWN_77")
    with pytest.raises(ValueError, match="valid"):
        runstore.RemovalKind("77")


async def test_a_hold_is_of_a_run_or_of_a_filter(client: runstore.AsyncClient) -> None:
    with pytest.raises(runstore.InvalidArgument, match="run_id"):
        await client.admin.place_hold("why")
    with pytest.raises(runstore.InvalidArgument, match="run_id"):
        await client.admin.place_hold("why", run_id="run", filter=runstore.RunSelection())
    with pytest.raises(runstore.RunNotFound):
        await client.admin.place_hold("why", run_id="none")
    with pytest.raises(runstore.HoldNotFound):
        await client.admin.release_hold("none")


async def test_a_deleted_run_is_not_found_and_its_id_is_reserved(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run(run_id="run")
    await run.append("tick")
    with pytest.raises(runstore.RunOpen):
        await client.admin.delete_run("run", "case 7")
    fork = await run.fork(run_id="fork")
    for each in (run, fork):
        await each.complete(runstore.Outcome.SUCCEEDED)
    with pytest.raises(runstore.RunInUse) as in_use:
        await client.admin.delete_run("run", "case 7")
    assert in_use.value.fork_run_id == "fork"
    with pytest.raises(runstore.SeqConflict):
        await client.admin.delete_run("fork", "case 7", expected_last_seq=1)

    first = await client.admin.delete_run("fork", "case 7", expected_last_seq=2)
    removal = await client.admin.delete_run("run", "case 7")

    assert (removal.kind, removal.first_seq, removal.last_seq) == (runstore.RemovalKind.RUN, 1, 2)
    assert len(removal.birth) == 32
    listed = [each async for each in client.admin.removals()]
    assert [each.removal_id for each in listed] == [removal.removal_id, first.removal_id]
    (of_run,) = [each async for each in client.admin.removals("run")]
    assert of_run.record == removal.record
    with pytest.raises(runstore.RunNotFound):
        await run.get()
    with pytest.raises(runstore.RunIdReserved):
        await client.save_run(run_id="run")
    with pytest.raises(runstore.RunNotFound):
        await anext(client.admin.removals("none"))


async def test_the_same_request_deletes_once(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    await run.complete()

    first = await client.admin.delete_run("run", "why", request_id="once")
    again = await client.admin.delete_run("run", "why", request_id="once")

    assert again.removal_id == first.removal_id
    with pytest.raises(runstore.RunNotFound):
        await client.admin.delete_run("run", "why")
    with pytest.raises(runstore.IdempotencyMismatch):
        await client.admin.delete_run("run", "another reason", request_id="once")


async def test_the_synchronous_client_deletes_runs_too(server_address: str, project: str) -> None:
    def work() -> tuple[str, list[str], list[str]]:
        with runstore.Client(server_address, project=project, timeout=60) as client:
            client.save_run(run_id="run").complete()
            removal = client.admin.delete_run("run", "why", expected_last_seq=1)
            with pytest.raises(runstore.RunNotFound):
                client.run("run").get()
            of_run = [each.removal_id for each in client.admin.removals("run")]
            return removal.removal_id, of_run, [each.removal_id for each in client.admin.removals()]

    removal, of_run, of_project = await asyncio.to_thread(work)

    assert of_run == of_project == [removal]


async def test_a_removal_is_done_once_everything_is_gone(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    await run.append_many([runstore.NewEvent("tick", {"n": n}) for n in range(100)])
    await run.complete(runstore.Outcome.SUCCEEDED, {"answer": 42})

    begun = await client.admin.delete_run("run", "case 7")
    seen = [begun]

    async def is_done() -> bool:
        seen.extend([each async for each in client.admin.removals("run")])
        return seen[-1].state is runstore.RemovalState.DONE

    await until(is_done)

    assert begun.state is runstore.RemovalState.REMOVING
    assert all((each.done_at is None) is (each is not seen[-1]) for each in seen)
    assert [begun.removed_events, seen[-1].removed_events] == [0, 101]


async def test_what_events_said_is_erased_and_the_rest_stays(client: runstore.AsyncClient) -> None:
    run = await client.save_run(run_id="run")
    said = runstore.NewEvent("said", {"name": "Ann"}, actor="ann", tags=("t",), subjects=("ann",))
    await run.append_many([said, runstore.NewEvent("said", {"name": "Bo"}, subjects=("bo",))])

    blocked = await client.admin.erase_events(
        "run", [runstore.SeqRange(1, 1)], "case 7", request_id="once"
    )
    again = await client.admin.erase_events(
        "run", [runstore.SeqRange(1, 1)], "case 7", request_id="once"
    )
    await run.complete(runstore.Outcome.SUCCEEDED)
    states = []

    async def is_done() -> bool:
        states.append(await client.admin.get_erasure(blocked.erasure_id))
        return states[-1].state is runstore.ErasureState.DONE

    await until(is_done)

    assert again.erasure_id == blocked.erasure_id
    assert (blocked.state, blocked.blockers) == (
        runstore.ErasureState.BLOCKED,
        (runstore.ErasureBlocker("run"),),
    )
    assert (states[-1].runs, states[-1].erased_events) == (1, 1)
    first, second, _ = [event async for event in run.events()]
    assert (first.payload, first.actor, first.tags, first.subjects, first.salt) == (
        None, "", (), (), b"",
    )  # fmt: skip
    assert first.erased_at is not None
    assert len(first.sealed) == 32
    assert (second.erased_at, second.sealed, second.subjects) == (None, b"", ("bo",))
    assert (await run.verify()).erased_events == 1
    (removal,) = [each async for each in client.admin.removals("run")]
    assert removal.kind is runstore.RemovalKind.EVENTS_ERASED


async def test_a_subject_is_forgotten_and_its_name_is_not_kept(
    client: runstore.AsyncClient,
) -> None:
    run = await client.save_run(run_id="run")
    await run.append("said", {"name": "Ann"}, subjects=["wombat"])
    await run.complete(runstore.Outcome.SUCCEEDED)

    erasure = await client.admin.erase_subject("wombat", "case 7")

    async def is_erased() -> bool:
        return (await client.admin.get_erasure(erasure.erasure_id)).erased_events == 1

    await until(is_erased)
    records = [each async for each in client.admin.records()]
    assert {each.method for each in records} == {"EraseSubject"}
    assert not any("wombat" in repr(each) for each in records)
    with pytest.raises(runstore.ErasureNotFound):
        await client.admin.get_erasure("none")
    with pytest.raises(runstore.RunNotFound):
        await client.admin.erase_events("none", [runstore.SeqRange(1, 2)], "why")
    with pytest.raises(runstore.InvalidRequest):
        await client.admin.erase_events("run", [runstore.SeqRange(2, 1)], "why")


async def test_the_synchronous_client_erases_too(server_address: str, project: str) -> None:
    def work() -> tuple[runstore.Erasure, runstore.Erasure]:
        with runstore.Client(server_address, project=project, timeout=60) as client:
            client.save_run(run_id="run")
            first = client.admin.erase_events("run", [runstore.SeqRange(1, 1)], "why")
            client.admin.erase_subject("nobody", "why")
            return first, client.admin.get_erasure(first.erasure_id)

    first, found = await asyncio.to_thread(work)

    assert first == found
