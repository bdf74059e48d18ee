"""runstore health."""

from __future__ import annotations

import json
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from runstore.channels import target_of

TIMEOUT_SECONDS = 5


def health(
    target: Annotated[
        str | None,
        typer.Option(help="Server, host:port; else $RUNSTORE_TARGET, else localhost:7411."),
    ] = None,
    service: Annotated[str, typer.Option(help="Service to ask about; empty means all.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask a server whether it serves; exit with 1 when it does not."""
    address = target_of(target)
    status = _status(address, service)
    if as_json:
        typer.echo(json.dumps({"target": address, "service": service, "status": status}))
    else:
        typer.echo(f"{address}: {status}")
    if status != "SERVING":
        raise typer.Exit(1)


def _status(address: str, service: str) -> str:
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs know no methods
        try:
            response = stub.Check(
                health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_SECONDS
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))
