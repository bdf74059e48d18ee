"""runstore health."""

from __future__ import annotations

from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from runstore import InvalidArgument
from runstore.channels import target_of
from runstore.sync.transport import open_channel
from runstore.tls import credentials_of, security_of
from runstore.tokens import authorized

from runstore_server.cli.exits import ExitCode
from runstore_server.cli.failures import failed
from runstore_server.cli.options import AsJson, Target
from runstore_server.cli.printing import print_json

TIMEOUT_SECONDS = 5
SERVING = "SERVING"
EXITS = {
    "NOT_SERVING": ExitCode.UNTRUE,
    grpc.StatusCode.UNAVAILABLE.name: ExitCode.UNANSWERED,
    grpc.StatusCode.DEADLINE_EXCEEDED.name: ExitCode.UNANSWERED,
}


def health(
    target: Target = None,
    service: Annotated[
        str, typer.Option(help="The gRPC service to ask about; empty means all of the server.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask a server whether it serves; exit with 1 if it does not, with 3 if none answers."""
    try:
        address = target_of(target)
        status = _status(address, service)
    except InvalidArgument as error:
        raise failed(str(error), ExitCode.USAGE) from error
    if as_json:
        print_json({"target": address, "service": service, "status": status.lower()})
    else:
        typer.echo(f"{address}: {status}")
    if status != SERVING:
        raise typer.Exit(EXITS.get(status, ExitCode.FAILED))


def _status(address: str, service: str) -> str:
    """The service's status, or the gRPC code of a call that failed."""
    security = security_of(address, None, None).current()
    metadata = authorized((), address, is_encrypted=security is not None).current()
    with open_channel(address, credentials_of(security)) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its stubs know no methods
        try:
            response = stub.Check(
                health_pb2.HealthCheckRequest(service=service),
                timeout=TIMEOUT_SECONDS,
                metadata=metadata,
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))
