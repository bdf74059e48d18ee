"""A token's secret is in nothing that the server writes or says, whatever becomes of the call."""

from __future__ import annotations

from pathlib import Path

import httpx
import psutil
from conftest import server_environment
from e2e.servers import serving
from runstore_server.edge.identity import Shown
from server.access.guarded import MakeToken
from server.access.test_matrix import RPCS, bearer, reason


async def test_no_secret_is_logged_answered_or_listed(
    database_url: str, db_schema: str, make_token: MakeToken, project: str, tmp_path: Path
) -> None:
    good = (await make_token(f"admin@{project}")).text
    expired = (await make_token(f"admin@{project}", seconds=0.001)).text
    unknown = good[:17] + expired[17:]
    tried = [good, expired, unknown, good[:-1] + "-"]
    environment = server_environment(database_url, db_schema) | {
        "RUNSTORE_AUTH": "required",
        "RUNSTORE_LOG_LEVEL": "debug",
    }
    said = []

    with serving(tmp_path / "log", environment) as server:
        async with httpx.AsyncClient(base_url=server.http_target) as http:
            for token in tried:
                said += [await reason(server.target, path, project, token) for path in RPCS]
                for route in ("/api/v1/runs", "/api/v1/runs/x", "/metrics", "/nowhere"):
                    answer = await http.get(
                        route, headers=bearer(token), params={"project": project}
                    )
                    said += [answer.text, *answer.headers.values()]
        assert server.process
        shown_by_ps = " ".join(psutil.Process(server.process.pid).cmdline())

    logged = (tmp_path / "log").read_text()
    assert logged.count("call") > len(RPCS)
    for token in tried:
        secret = token[17:60]
        assert secret not in logged
        assert secret not in " ".join(said)
        assert secret not in shown_by_ps


def test_what_a_call_shows_is_not_shown_on() -> None:
    assert "rs1" not in repr(Shown("peer", "Bearer rs1_secret"))
