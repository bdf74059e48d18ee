"""Clients that leave in the middle of an answer are nobody's fault."""

from __future__ import annotations

from pathlib import Path

import grpc
import runstore
from e2e.servers import ServerProcess
from runstore.v1 import artifact_service_pb2 as rpc
from runstore.v1.artifact_service_pb2_grpc import ArtifactServiceStub

LEAVERS = 30


def test_a_client_that_leaves_a_download_is_not_told_as_an_error(
    server: ServerProcess, project: str, tmp_path: Path
) -> None:
    with runstore.Client(server.target, project=project) as client:
        run = client.save_run()
        client.artifacts.upload(run.run_id, "large", bytes(8 << 20))
    with grpc.insecure_channel(server.target) as channel:
        for _ in range(LEAVERS):
            request = rpc.DownloadArtifactRequest(project=project, run_id=run.run_id, name="large")
            answers = ArtifactServiceStub(channel).DownloadArtifact(request)
            next(answers)
            answers.cancel()

    server.stop()

    assert '"level": "error"' not in (tmp_path / "server.log").read_text()
