"""Calls about outputs."""

from __future__ import annotations

from runstore.calls.call import RUNS, Call
from runstore.v1 import run_service_pb2 as rpc
from runstore.values.outputs import Output
from runstore.values.runs import RunRef
from runstore.wire.messages import message_of
from runstore.wire.outputs import output_value


def get_output(run: RunRef, revision: int) -> Call[Output]:
    request = message_of(
        rpc.GetOutputRequest, project=run.project, run_id=run.run_id, revision=revision
    )
    return Call(RUNS, "GetOutput", request, lambda response: output_value(response.output))
