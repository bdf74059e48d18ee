"""What docs/grpcurl.md shows works by `buf curl` too, as the page says how."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.documents import ANY, Example, difference, examples, run, values
from e2e.servers import ServerProcess
from google.protobuf import descriptor_pool, json_format, message_factory
from google.rpc import error_details_pb2  # noqa: F401 - its messages stand in answers
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as ALPHA
from runstore_server.edge.reflection import V1 as REFLECTION

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "grpcurl.md"
CALL = re.compile(
    r"grpcurl -plaintext (?P<flags>.*?)localhost:7411 (?P<method>[\w.]+/\w+)", re.DOTALL
)
BUF = "buf curl --http2-prior-knowledge --protocol grpc"
TIMED_OUT = 124


def calls() -> list[Example]:
    """The document's calls of RPCs, spelled for buf."""
    return [
        replace(each, command=CALL.sub(_spelled, each.command))
        for each in examples(DOCUMENT)
        if CALL.search(each.command)
    ]


def _spelled(call: re.Match[str]) -> str:
    """As the page says: a URL, stdin as @-, the deadline by `timeout`; buf has no such flags."""
    flags = re.sub(r"-(connect-timeout \d+|max-time \d+|format-error|v) ", "", call["flags"])
    limit = re.search(r"-max-time (\d+)", call["flags"])
    spelled = f"{BUF} {flags.replace('-d @ ', '-d @- ')}http://localhost:7411/{call['method']}"
    return f"timeout {limit[1]} {spelled}" if limit else spelled


@pytest.mark.timeout(300)
def test_every_rpc_answers_buf_what_it_answers_grpcurl(
    fresh_server: ServerProcess, tmp_path: Path
) -> None:
    shown = calls()

    wrong = [said for one in shown if (said := _wrong(one, fresh_server, tmp_path))]

    assert len(shown) > 40
    assert not wrong, "\n\n".join(wrong)


def _wrong(example: Example, server: ServerProcess, folder: Path) -> str:
    """What buf answers otherwise than the page shows of grpcurl."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = run(example, server.target, path, folder)
    found = _difference(example, done)
    where = f"{DOCUMENT.relative_to(ROOT)}:{example.line}"
    return f"{where}: {found}\n{example.command}{done.stdout}{done.stderr}" if found else ""


def _difference(example: Example, done: subprocess.CompletedProcess[str]) -> str:
    status = example.code - 64 if example.code else 0
    is_cut = example.command.startswith("timeout") and status
    code = TIMED_OUT if is_cut else status << 3
    if done.returncode != code:
        return f"exits with {done.returncode}, not {code}"
    if status and not is_cut:
        (message,) = re.findall(r'(?:Message: |"message": ")(.*?)(?:"|\n)', example.output)
        return "" if message in done.stderr else f"the error is not {message}"
    if not example.kind:
        return ""
    answers = _by_proto_names(example, done.stdout)
    wanted = example.output.partition("ERROR:")[0]
    if wanted.endswith(f"\n{ANY}\n"):  # a stream that is cut: more may have come
        wanted = wanted.removesuffix(f"{ANY}\n")
        answers = answers[: len(values(wanted))]
    shown = replace(example, kind="json", code=0, output=wanted)
    return difference(shown, 0, "\n".join(answers))


def _by_proto_names(example: Example, text: str) -> list[str]:
    """Answers as grpcurl spells them: buf has JSON's names."""
    (method,) = re.findall(r"http://localhost:7411/(\S+)", example.command)
    service, name = method.replace(REFLECTION, ALPHA).split("/")
    pool = descriptor_pool.Default()
    found = pool.FindServiceByName(service).FindMethodByName(name)
    kind = message_factory.GetMessageClass(found.output_type)
    messages = [json_format.ParseDict(each, kind()) for each in values(text)]
    return [json_format.MessageToJson(each, preserving_proto_field_name=True) for each in messages]
