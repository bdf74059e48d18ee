"""AdminService: tokens, limits, and the records of what was done about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from runstore.errors import from_rpc
from runstore.v1 import admin_pb2
from runstore.v1 import admin_service_pb2 as rpc
from runstore.v1 import config_service_pb2 as configs
from runstore.v1 import run_service_pb2 as runs
from runstore.v1.admin_service_pb2_grpc import AdminServiceStub
from runstore.v1.config_service_pb2_grpc import ConfigServiceStub
from runstore.v1.run_service_pb2_grpc import RunServiceStub
from runstore_storage.contract.access import Role
from server.access.guarded import MakeToken, grants_of, sent_with


@pytest.fixture
def admin(channel: grpc.aio.Channel) -> Any:
    return AdminServiceStub(channel)


def grants(*texts: str) -> Sequence[admin_pb2.Grant]:
    return [
        admin_pb2.Grant(role=admin_pb2.Role.ValueType(grant.role), project_pattern=grant.pattern)
        for grant in grants_of(*texts)
    ]


async def reason(call: Any) -> str:
    with pytest.raises(grpc.RpcError) as refused:
        await call
    return from_rpc(refused.value).reason


async def test_a_token_is_made_used_listed_and_ended(
    admin: Any, channel: grpc.aio.Channel, make_token: MakeToken, project: str
) -> None:
    chief = sent_with((await make_token(f"admin@{project}")).text)
    create = rpc.CreateTokenRequest(
        project=project, name="for reading", grants=grants(f"reader@{project}"), request_id="r"
    )

    made = await admin.CreateToken(create, metadata=chief)
    repeated = await admin.CreateToken(create, metadata=chief)
    create.name = "another"
    mismatch = await reason(admin.CreateToken(create, metadata=chief))

    assert made.secret.startswith(made.token.prefix)
    assert repeated.token == made.token
    assert repeated.deduplicated
    assert repeated.secret == ""
    assert mismatch == "IDEMPOTENCY_MISMATCH"
    lived = made.token.expires_at.ToSeconds() - made.token.created_at.ToSeconds()
    assert lived == 90 * 86_400
    own = sent_with(made.secret)
    me = await admin.WhoAmI(rpc.WhoAmIRequest(), metadata=own)
    assert me.principal.kind == admin_pb2.PRINCIPAL_KIND_TOKEN
    assert me.principal.id == made.token.token_id
    assert me.grants == made.token.grants
    assert me.expires_at == made.token.expires_at
    assert await reason(admin.ListTokens(rpc.ListTokensRequest(project=project), metadata=own)) == (
        "PERMISSION_DENIED"
    )
    revoke = rpc.RevokeTokenRequest(project=project, token_id=made.token.token_id)
    assert not (await admin.RevokeToken(revoke, metadata=chief)).deduplicated
    assert (await admin.RevokeToken(revoke, metadata=chief)).deduplicated
    revoke.token_id = "unknown"
    assert await reason(admin.RevokeToken(revoke, metadata=chief)) == "TOKEN_NOT_FOUND"
    listed = await admin.ListTokens(rpc.ListTokensRequest(project=project), metadata=chief)
    assert [each.name for each in listed.tokens] == ["for reading"]
    assert listed.tokens[0].HasField("revoked_at")


async def test_the_pages_of_tokens_are_all_of_them(
    admin: Any, make_token: MakeToken, project: str
) -> None:
    chief = sent_with((await make_token(f"admin@{project}")).text)
    for number in range(5):
        await admin.CreateToken(
            rpc.CreateTokenRequest(
                project=project, name=f"t{number}", grants=grants(f"reader@{project}")
            ),
            metadata=chief,
        )

    names, token = [], ""
    while True:
        page = await admin.ListTokens(
            rpc.ListTokensRequest(project=project, page_size=2, page_token=token), metadata=chief
        )
        names += [each.name for each in page.tokens]
        token = page.next_page_token
        if not token:
            break

    assert names == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize(
    ("held", "given", "is_allowed"),
    [
        ("admin@acme/*", "writer@acme/a", True),
        ("admin@acme/*", "admin@acme/*", True),
        ("admin@acme/*", "reader@acme/b/*", True),
        ("admin@acme/*", "reader@acme", False),
        ("admin@acme/*", "reader@acme-2/*", False),
        ("admin@acme/*", "reader@*", False),
        ("admin@*", "admin@*", True),
        ("operator@*", "admin@acme/a", True),
    ],
)
async def test_no_one_gives_more_than_it_holds(
    admin: Any, make_token: MakeToken, held: str, given: str, is_allowed: bool
) -> None:
    chief = sent_with((await make_token(held)).text)
    create = rpc.CreateTokenRequest(project="acme/a", name="n", grants=grants(given))

    if is_allowed:
        assert (await admin.CreateToken(create, metadata=chief)).secret
    else:
        assert await reason(admin.CreateToken(create, metadata=chief)) == "PERMISSION_DENIED"


async def test_the_servers_own_tokens_are_for_operators(admin: Any, make_token: MakeToken) -> None:
    chief = sent_with((await make_token("admin@*")).text)
    operator = sent_with((await make_token("operator@*")).text)
    create = rpc.CreateTokenRequest(of_server=True, name="n", grants=grants("operator@*"))

    assert await reason(admin.CreateToken(create, metadata=chief)) == "PERMISSION_DENIED"
    made = await admin.CreateToken(create, metadata=operator)
    listed = await admin.ListTokens(rpc.ListTokensRequest(of_server=True), metadata=operator)

    assert made.token in listed.tokens
    create.of_server = False
    assert await reason(admin.CreateToken(create, metadata=operator)) == "INVALID_REQUEST"


async def test_rules_of_grants_and_lifetimes(
    admin: Any, make_token: MakeToken, project: str
) -> None:
    chief = sent_with((await make_token("operator@*")).text)

    async def refused(**wrong: Any) -> list[str]:
        given = {"project": project, "name": "n", "grants": grants("reader@a")} | wrong
        with pytest.raises(grpc.RpcError) as caught:
            await admin.CreateToken(rpc.CreateTokenRequest(**given), metadata=chief)
        return [field for field, _ in from_rpc(caught.value).violations]

    assert await refused(grants=[]) == ["grants"]
    assert await refused(name="") == ["name"]
    assert await refused(grants=[admin_pb2.Grant(project_pattern="a")]) == ["grants[0].role"]
    for pattern in ("", "a*", "*/a", "a/**", "/*", "a b"):
        wrong = [admin_pb2.Grant(role=admin_pb2.ROLE_READER, project_pattern=pattern)]
        assert set(await refused(grants=wrong)) == {"grants[0].project_pattern"}, pattern
    assert await refused(lifetime=Duration(seconds=401 * 86_400)) == ["lifetime"]
    assert await refused(lifetime=Duration()) == ["lifetime"]
    assert await refused(of_server=True) == ["project"]


async def test_projects_are_those_of_the_callers_grants(
    admin: Any, channel: grpc.aio.Channel, make_token: MakeToken, project: str
) -> None:
    names = [f"{project}/{end}" for end in ("a", "b", "c", "c/d", "é/ß")]
    writer = sent_with((await make_token("writer@*")).text)
    for name in (*names, project, f"{project}-2"):
        await RunServiceStub(channel).SaveRun(runs.SaveRunRequest(project=name), metadata=writer)
    for name in (f"{project}/a", f"{project}/bc", "a"):  # whose configs have names, too
        version = configs.RegisterVersionRequest(
            project=name, kind="prompt", name="a", body={"json": "1"}
        )
        await ConfigServiceStub(channel).RegisterVersion(version, metadata=writer)
    names.insert(2, f"{project}/bc")

    async def listed(*given: str, size: int = 0) -> list[str]:
        own = sent_with((await make_token(*given)).text)
        found, token = [], ""
        while True:
            request = rpc.ListProjectsRequest(page_size=size, page_token=token)
            page = await admin.ListProjects(request, metadata=own)
            found += page.projects
            token = page.next_page_token
            if not token:
                return found

    assert await listed(f"reader@{project}/*") == names
    assert await listed(f"reader@{project}/*", f"admin@{project}/b", size=1) == names
    assert await listed(f"recorder@{project}") == [project]
    assert await listed(f"reader@{project}/none") == []
    everything = await listed("operator@*", size=3)
    assert everything == sorted(set(everything))
    assert {*names, project, f"{project}-2"} <= set(everything)


async def test_limits_are_set_and_read_by_operators(
    admin: Any, make_token: MakeToken, project: str
) -> None:
    operator = sent_with((await make_token("operator@*")).text)
    limits = admin_pb2.Limits(calls_per_second=10, streams=3)
    set_ = rpc.SetLimitsRequest(project=project, limits=limits, request_id="s")

    none = await admin.GetLimits(rpc.GetLimitsRequest(project=project), metadata=operator)
    first = await admin.SetLimits(set_, metadata=operator)
    repeated = await admin.SetLimits(set_, metadata=operator)
    found = await admin.GetLimits(rpc.GetLimitsRequest(project=project), metadata=operator)

    assert none.limits == admin_pb2.Limits()
    assert not none.HasField("updated_at")
    assert (first.deduplicated, repeated.deduplicated) == (False, True)
    assert found.limits == limits


async def test_acts_and_refusals_are_recorded_in_a_chain_that_shows_tampering(
    admin: Any,
    make_token: MakeToken,
    project: str,
    database_url: str,
    db_schema: str,
) -> None:
    made = await make_token(f"admin@{project}")
    chief, stranger = sent_with(made.text), await make_token("reader@elsewhere")
    create = rpc.CreateTokenRequest(project=project, name="n", grants=grants(f"reader@{project}"))
    token = await admin.CreateToken(create, metadata=chief)
    await reason(admin.CreateToken(create, metadata=sent_with(stranger.text)))
    create.grants[0].project_pattern = "*"
    await reason(admin.CreateToken(create, metadata=chief))
    await admin.RevokeToken(
        rpc.RevokeTokenRequest(project=project, token_id=token.token.token_id), metadata=chief
    )

    listed = await admin.ListAdminRecords(
        rpc.ListAdminRecordsRequest(project=project), metadata=chief
    )
    verify = rpc.VerifyAdminRecordsRequest(project=project)
    verified = await admin.VerifyAdminRecords(verify, metadata=chief)

    assert [(each.number, each.method, each.allowed, each.status) for each in listed.records] == [
        (4, "RevokeToken", True, "OK"),
        (3, "CreateToken", False, "PERMISSION_DENIED"),
        (2, "CreateToken", False, "PERMISSION_DENIED"),
        (1, "CreateToken", True, "OK"),
    ]
    by = [each.principal.id for each in listed.records]
    assert by == [made.token_id, made.token_id, stranger.token_id, made.token_id]
    assert listed.records[-1].resource == f"tokens/{token.token.token_id}"
    assert listed.records[-1].grants[0].role == Role.ADMIN
    assert token.secret[17:] not in str(listed)
    assert (verified.checked_records, verified.last_number, verified.problem) == (4, 4, "")
    assert verified.last_hash == listed.records[0].hash
    await _tamper(database_url, db_schema, project)
    broken = await admin.VerifyAdminRecords(verify, metadata=chief)
    assert (broken.problem_number, broken.checked_records) == (2, 1)
    assert "not what its hash" in broken.problem
    verify.from_number = 3
    assert not (await admin.VerifyAdminRecords(verify, metadata=chief)).problem


async def _tamper(database_url: str, db_schema: str, project: str) -> None:
    """Change a record as only who owns the table can."""
    conn = await asyncpg.connect(database_url, server_settings={"search_path": db_schema})
    try:
        with pytest.raises(asyncpg.RestrictViolationError):
            await conn.execute("UPDATE admin_records SET status = 'OK' WHERE project = $1", project)
        async with conn.transaction():
            await conn.execute("ALTER TABLE admin_records DISABLE TRIGGER USER")
            await conn.execute(
                "UPDATE admin_records SET is_allowed = true WHERE project = $1 AND number = 2",
                project,
            )
            await conn.execute("ALTER TABLE admin_records ENABLE TRIGGER USER")
    finally:
        await conn.close()
