"""Every RPC works by `buf curl` as it does by grpcurl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from e2e.calls import Call, calls, make
from e2e.documents import json_difference, values
from e2e.servers import ServerProcess
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2  # noqa: F401 - its messages stand in answers
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as ALPHA
from runstore_server.edge.reflection import V1 as REFLECTION

BUF = ["buf", "curl", "--http2-prior-knowledge", "--protocol", "grpc"]
TIMED_OUT = 124


@pytest.mark.slow
def test_every_rpc_answers_buf_what_it_answers_grpcurl(fresh_server: ServerProcess) -> None:
    made = calls()

    wrong = [said for one in made if (said := _wrong(one, fresh_server))]

    assert len(made) > 40
    assert not wrong, "\n\n".join(wrong)


def _wrong(call: Call, server: ServerProcess) -> str:
    """How a call's result differs from the table, with everything buf printed."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    limit = ["timeout", str(call.seconds)] if call.seconds else []
    url = f"http://{server.target}/{call.method}"
    done = make(call, [*limit, *BUF, "-d", "@-", url], path)
    found = _difference(call, done)
    return f"{call.method}: {found}\n{call.requests}\n{done.stdout}{done.stderr}" if found else ""


def _difference(call: Call, done: subprocess.CompletedProcess[str]) -> str:
    code = TIMED_OUT if call.seconds else call.code << 3
    if done.returncode != code:
        return f"exits with {done.returncode}, not {code}"
    if call.error and not call.seconds:
        message = json.dumps(call.error["message"], ensure_ascii=False)[1:-1]
        return "" if message in done.stderr else f"the error is not {message}"
    return json_difference(call.answers, _by_proto_names(call.method, done.stdout))


def _by_proto_names(method: str, text: str) -> list[object]:
    """The answers with the names that grpcurl prints; buf prints JSON's names."""
    service, name = method.replace(REFLECTION, ALPHA).split("/")
    pool = descriptor_pool.Default()
    found = pool.FindServiceByName(service).FindMethodByName(name)
    kind = message_factory.GetMessageClass(found.output_type)
    messages = [json_format.ParseDict(each, kind()) for each in values(text)]
    return [json_format.MessageToDict(each, preserving_proto_field_name=True) for each in messages]
