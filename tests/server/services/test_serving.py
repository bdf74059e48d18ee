"""The services of a server are those of the contracts."""

import asyncio
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import Default
from runstore_server.services.serving import SERVICES

PROTOS = Path(__file__).parents[3] / "protos"
RPCS = [
    f"/{service}/{rpc}"
    for service in SERVICES
    for rpc in Default().FindServiceByName(service).methods_by_name
]


def test_every_service_of_the_contracts_is_served() -> None:
    texts = "\n".join(path.read_text() for path in PROTOS.glob("runstore/v1/*.proto"))
    declared = re.findall(r"^service (\w+)", texts, re.MULTILINE)

    assert {f"runstore.v1.{name}" for name in declared} == set(SERVICES)


@pytest.mark.parametrize("rpc", RPCS)
async def test_every_rpc_of_the_contracts_is_implemented(server_address: str, rpc: str) -> None:
    async with grpc.aio.insecure_channel(server_address) as channel:
        call = channel.stream_stream(rpc)()
        await call.write(b"")  # an empty request: refused, or answered from an empty project
        async with asyncio.timeout(60):
            answers = await asyncio.gather(call.read(), return_exceptions=True)
        call.cancel()

    refusals = [each.code() for each in answers if isinstance(each, grpc.RpcError)]
    assert grpc.StatusCode.UNIMPLEMENTED not in refusals
    assert grpc.StatusCode.INTERNAL not in refusals
