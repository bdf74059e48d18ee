"""An S3 API on this machine, in a process of its own that a test may stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from ports import reserved_port

BUCKET = "runstore-test"


class S3Server:
    """Moto's server: in memory, gone when it is stopped."""

    def __init__(self) -> None:
        self.port = reserved_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()
        self._request(f"/{BUCKET}", "PUT")

    @property
    def environment(self) -> dict[str, str]:
        """What tells a store of ours to go there."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
        }

    def unfinished_uploads(self) -> int:
        """How many multipart uploads were begun and neither completed nor given up."""
        return self._request(f"/{BUCKET}?uploads").count(b"<UploadId>")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + 180
        while True:
            try:
                self._request("/moto-api/")
            except urllib.error.URLError:
                assert time.monotonic() < until, "moto does not start"
                time.sleep(0.05)
            else:
                return

    def _request(self, path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(self.endpoint + path, method=method)
        # Any signature will do, but without one moto takes a request for another service's.
        request.add_header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request,"
            " SignedHeaders=host, Signature=any",
        )
        with urllib.request.urlopen(request) as answer:
            data: bytes = answer.read()
            return data


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server with an empty bucket; the environment points there meanwhile."""
    server = S3Server()
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        yield server
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        server.stop()


def fresh_url() -> str:
    """A prefix of the bucket that nothing was put under."""
    return f"s3://{BUCKET}/{uuid4().hex}"
