"""Calls carry a token, which may be replaced while they go on, and which nobody gets to see."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import runstore
import runstore.files
import runstore.sync
from clients.gate import CONTENT, EXPIRED, UNKNOWN, WITHDRAWN, Gate, serving
from runstore import InvalidArgument
from runstore.targets import is_loopback

FAR = "runstore.example.com:7411"
OLD, NEW = "rs1_old", "rs1_new"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("RUNSTORE_") and "TOKEN" in name:
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    put(path, f"{OLD}\n")
    return path


def put(file: Path, content: str) -> None:
    """Replace what the file holds."""
    file.write_bytes(content.encode())


@pytest_asyncio.fixture
async def gate() -> AsyncIterator[Gate]:
    async with serving(Gate(NEW)) as served:
        yield served


# What is done by a client of either kind: the seqs, positions or bytes that it got.


async def append(client: Any) -> Any:
    return [(await client.run("run").append("tick")).seq]


async def events(client: Any) -> Any:
    return [event.seq async for event in client.run("run").events(follow=True)]


async def feed(client: Any) -> Any:
    async with aclosing(client.feed.entries()) as entries:
        return [(await anext(entries)).position for _ in range(2)]


async def appender(client: Any) -> Any:
    async with client.appender() as opened:
        first = await opened.append(client.run("run"), "tick")
        await asyncio.wait([first])
        second = await opened.append(client.run("run"), "tick")
    return [(await each).seq for each in (first, second)]


async def upload(client: Any) -> Any:
    return (await client.artifacts.upload("run", "name", CONTENT)).artifact.size


async def download(client: Any) -> Any:
    return await client.artifacts.read(artifact_id="a")


def sync_append(client: Any) -> Any:
    return [client.run("run").append("tick").seq]


def sync_events(client: Any) -> Any:
    return [event.seq for event in client.run("run").events(follow=True)]


def sync_feed(client: Any) -> Any:
    with closing(client.feed.entries()) as entries:
        return [next(entries).position for _ in range(2)]


def sync_appender(client: Any) -> Any:
    with client.appender() as opened:
        first = opened.append(client.run("run"), "tick")
        first.exception(60)
        second = opened.append(client.run("run"), "tick")
    return [each.result().seq for each in (first, second)]


def sync_upload(client: Any) -> Any:
    return client.artifacts.upload("run", "name", CONTENT).artifact.size


def sync_download(client: Any) -> Any:
    return client.artifacts.read(artifact_id="a")


Use = Callable[..., Awaitable[Any]]
WORK = {
    "append": (append, sync_append, [1]),
    "events": (events, sync_events, [1, 2]),
    "feed": (feed, sync_feed, [1, 2]),
    "appender": (appender, sync_appender, [1, 1]),
    "upload": (upload, sync_upload, len(CONTENT)),
    "download": (download, sync_download, CONTENT),
}
STREAMS = sorted(WORK.keys() - {"append"})


@pytest.fixture(params=["async", "sync"])
def use(request: pytest.FixtureRequest, gate: Gate) -> Use:
    """Does work with a client of the gate that was made with these arguments."""

    async def used(work: str = "append", **given: Any) -> Any:
        with_async, with_sync, _ = WORK[work]
        if request.param == "async":
            async with runstore.connect(gate.address, **given) as client:
                return await with_async(client)

        def block() -> Any:
            with runstore.Client(gate.address, **given) as client:
                return with_sync(client)

        return await asyncio.to_thread(block)

    return used


def rotating(gate: Gate, file: Path) -> Callable[[], None]:
    """Puts a new token into the file, once."""

    def rotate() -> None:
        gate.refusing = lambda: None
        put(file, f"{NEW}\n")

    return rotate


# Where the token comes from.


@pytest.mark.parametrize("work", sorted(WORK))
async def test_every_kind_of_call_carries_the_token(gate: Gate, use: Use, work: str) -> None:
    assert await use(work, token=NEW) == WORK[work][2]

    assert set(gate.tokens) == {NEW}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_a_file_holds_it_with_or_without_the_end_of_a_line(
    gate: Gate, use: Use, file: Path, end: str
) -> None:
    put(file, f"{NEW}{end}")

    await use(token_file=file)
    await use(token_file=str(file))

    assert gate.tokens == [NEW, NEW]


async def test_the_environment_names_it(
    gate: Gate, use: Use, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(file, NEW)
    monkeypatch.setenv("RUNSTORE_TOKEN_FILE", str(file))
    await use()
    monkeypatch.setenv("RUNSTORE_TOKEN_FILE", "")
    monkeypatch.setenv("RUNSTORE_TOKEN", f"{NEW}\n")
    await use()

    assert gate.tokens == [NEW, NEW]


async def test_what_is_given_comes_before_the_environment(
    gate: Gate, use: Use, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTORE_TOKEN", OLD)
    monkeypatch.setenv("RUNSTORE_TOKEN_FILE", str(file))
    put(file.with_name("other"), NEW)

    await use(token=NEW)
    await use(token_file=file.with_name("other"))
    await use(metadata=[("authorization", f"Bearer {NEW}")])

    assert gate.tokens == [NEW] * 3


@pytest.mark.parametrize("connect", [runstore.connect, runstore.sync.connect])
async def test_the_question_for_health_carries_it_too(
    gate: Gate, connect: Callable[..., Any]
) -> None:
    if connect is runstore.connect:
        async with connect(gate.address, token=NEW) as client:
            assert await client.health()
    else:

        def ask() -> bool:
            with connect(gate.address, token=NEW) as client:
                return bool(client.health())

        assert await asyncio.to_thread(ask)
    assert gate.shown == [("Check", NEW)]


async def test_without_a_token_calls_carry_none(gate: Gate, use: Use) -> None:
    with pytest.raises(runstore.Unauthenticated):
        await use()

    assert gate.tokens == [""]


REFUSED: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "both": ({"token": OLD, "token_file": "{file}"}, {}, "token: must not be set together"),
    "both variables": (
        {},
        {"RUNSTORE_TOKEN": OLD, "RUNSTORE_TOKEN_FILE": "{file}"},
        "RUNSTORE_TOKEN: must not be set together with RUNSTORE_TOKEN_FILE",
    ),
    "beside its own metadata": (
        {"token": OLD, "metadata": [("authorization", "Bearer x")]},
        {},
        "token: must not be set together with authorization in metadata",
    ),
    "nothing": ({"token": ""}, {}, "token: must not be empty"),
    "a line's end": ({"token": "\n"}, {}, "token: must not be empty"),
    "a number": ({"token": 5}, {}, "token: must be str, not int"),
    "a number for a file": ({"token_file": 5}, {}, "token_file: must be a path, not int"),
    "no file": ({"token_file": "{file}.none"}, {}, "token_file: cannot be read: "),
    "a folder": ({"token_file": "{folder}"}, {}, "token_file: cannot be read: "),
    "an empty file": ({"token_file": "{folder}/empty"}, {}, "token_file: has no token: "),
    "no file of a variable": (
        {},
        {"RUNSTORE_TOKEN_FILE": "{file}.none"},
        "RUNSTORE_TOKEN_FILE: cannot be read: ",
    ),
    "a file without an end": (
        {"token_file": "/dev/zero"},
        {},
        "token_file: must be a token of at most 8192 characters",
    ),
    "words": ({"token": "Bearer Secret"}, {}, "token: must be a token of printable ASCII"),
    "two lines": ({"token": "Secret\nx"}, {}, "token: must be a token of printable ASCII"),
    "a control": ({"token": "Secret\x00"}, {}, "token: must be a token of printable ASCII"),
    "a letter": ({"token": "Secrét"}, {}, "token: must be a token of printable ASCII"),
    "a surrogate": ({"token": "Secret\ud800"}, {}, "token: is not Unicode text"),
    "a variable": ({}, {"RUNSTORE_TOKEN": "Secret x"}, "RUNSTORE_TOKEN: must be a token of"),
    "a long one": ({"token": "Secret" * 8192}, {}, "token: must be a token of at most 8192"),
}


@pytest.mark.parametrize("connect", [runstore.connect, runstore.Client])
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_token_is_refused_in_a_line_that_does_not_show_it(
    connect: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    (file.parent / "empty").write_text("\n")
    given, variables, words = REFUSED[case]
    places = {"file": file, "folder": file.parent}
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format_map(places))
    filled = {k: v.format_map(places) if isinstance(v, str) else v for k, v in given.items()}

    with pytest.raises(InvalidArgument) as refused:
        connect("localhost:7411", **filled)

    said = str(refused.value)
    assert said.startswith(words)
    assert "\n" not in said
    assert "Secr" not in said


# Where it may go.


@pytest.mark.parametrize("connect", [runstore.connect, runstore.Client])
def test_it_is_not_sent_in_plain_text_unless_that_is_allowed(
    connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidArgument, match=f"^token: .*grpcs://{FAR}") as refused:
        connect(FAR, token=OLD)
    assert "insecure_token=True" in str(refused.value)
    assert "RUNSTORE_ALLOW_INSECURE_TOKEN=true" in str(refused.value)
    assert OLD not in str(refused.value)
    monkeypatch.setenv("RUNSTORE_TOKEN", OLD)
    with pytest.raises(InvalidArgument, match=r"^token: is not sent in plain text"):
        connect(FAR)
    monkeypatch.setenv("RUNSTORE_ALLOW_INSECURE_TOKEN", "perhaps")
    with pytest.raises(InvalidArgument, match=r"^RUNSTORE_ALLOW_INSECURE_TOKEN: must be true or"):
        connect(FAR)


@pytest.mark.parametrize(
    ("target", "given", "allowed"),
    [
        (f"grpcs://{FAR}", {}, ""),
        (FAR, {"tls": runstore.Tls()}, ""),
        (FAR, {"credentials": grpc.ssl_channel_credentials()}, "false"),
        (FAR, {"insecure_token": True}, ""),
        (FAR, {}, "true"),
        ("[::1]:7411", {}, ""),
    ],
)
async def test_it_is_sent_encrypted_or_to_this_machine_or_where_it_is_allowed(
    target: str, given: dict[str, Any], allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTORE_ALLOW_INSECURE_TOKEN", allowed)

    await runstore.connect(target, token=OLD, **given).close()
    runstore.Client(target, token=OLD, **given).close()


LOCAL = [
    "localhost:7411",
    "LOCALHOST:1",
    "127.0.0.1:7411",
    "127.9.9.9:7411",
    "[::1]:7411",
    "[::ffff:127.0.0.1]:7411",
    "grpcs://localhost:7411",
    "dns:localhost:7411",
    "dns:///localhost:7411",
    "ipv4:127.0.0.1:7411",
    "ipv4:127.0.0.1:7411,127.0.0.2:7411",
    "ipv6:[::1]:7411",
    "unix:/run/runstore.sock",
    "unix:///run/runstore.sock",
    "unix-abstract:runstore",
]
NOT_LOCAL = [
    FAR,
    "10.0.0.1:7411",
    "0.0.0.0:7411",
    "128.0.0.1:7411",
    "[::]:7411",
    "[::ffff:10.0.0.1]:7411",
    "localhost.example.com:7411",
    "127.0.0.1.example.com:7411",
    "dns:///runstore.example.com:7411",
    "dns://10.0.0.1/localhost:7411",
    "ipv4:127.0.0.1:7411,10.0.0.1:7411",
    "ipv6:[::2]:7411",
    "vsock:2:7411",
    "xds:///localhost:7411",
    "passthrough:///localhost:7411",
]


def test_only_loopback_and_sockets_are_this_machine() -> None:
    assert [each for each in (*LOCAL, *NOT_LOCAL) if is_loopback(each)] == LOCAL


async def test_a_proxy_of_the_environment_is_not_shown_what_is_for_this_machine(
    gate: Gate, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        await use(token=NEW)

    assert asked == []


# A token that is replaced.


async def test_a_file_is_read_again_each_minute(
    gate: Gate, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.known = {OLD, NEW}
    now = 1000.0
    monkeypatch.setattr(runstore.files.time, "monotonic", lambda: now)
    async with runstore.connect(gate.address, token_file=file, gather=False) as client:
        put(file, NEW)
        await append(client)
        now += 59
        await append(client)
        now += 1
        await append(client)

    assert gate.tokens == [OLD, OLD, NEW]


@pytest.mark.parametrize("refused_as", [UNKNOWN, EXPIRED, WITHDRAWN, (UNKNOWN[0], "")])
async def test_a_call_that_was_refused_is_repeated_once_the_file_has_changed(
    gate: Gate, use: Use, file: Path, refused_as: tuple[grpc.StatusCode, str]
) -> None:
    gate.refused_as = refused_as
    gate.refusing = rotating(gate, file)

    assert await use(token_file=file) == [1]

    assert gate.tokens == [OLD, NEW]


@pytest.mark.parametrize("work", sorted(WORK))
async def test_it_is_not_repeated_while_the_file_is_the_same(
    gate: Gate, use: Use, file: Path, work: str
) -> None:
    with pytest.raises(runstore.Unauthenticated, match=r"^UNAUTHENTICATED: unauthenticated$"):
        await use(work, token_file=file)

    assert gate.tokens == [OLD]


async def test_it_is_repeated_once_for_each_change(gate: Gate, use: Use, file: Path) -> None:
    gate.known = set()
    gate.refusing = rotating(gate, file)

    with pytest.raises(runstore.Unauthenticated):
        await use(token_file=file)

    assert gate.tokens == [OLD, NEW]


async def test_a_token_that_was_given_is_not_tried_again(gate: Gate, use: Use) -> None:
    with pytest.raises(runstore.Unauthenticated):
        await use(token=OLD)

    assert gate.tokens == [OLD]


async def test_a_file_that_cannot_be_read_meanwhile_leaves_the_token_and_is_told(
    gate: Gate, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.known = {OLD}
    monkeypatch.setattr(runstore.files, "READ_AGAIN_SECONDS", 0)
    async with runstore.connect(gate.address, token_file=file, gather=False) as client:
        put(file, "")
        await append(client)
        gate.known = set()
        with pytest.raises(
            runstore.Unauthenticated, match=r"token_file: has no token: .* is empty"
        ):
            await append(client)
        put(file, NEW)
        gate.known = {NEW}
        await append(client)

    assert gate.tokens == [OLD, OLD, NEW]


@pytest.mark.parametrize("ending", [EXPIRED, WITHDRAWN])
@pytest.mark.parametrize("work", STREAMS)
async def test_a_stream_whose_token_has_expired_goes_on_with_the_next(
    gate: Gate, use: Use, file: Path, work: str, ending: tuple[grpc.StatusCode, str]
) -> None:
    gate.known, gate.ended, gate.ending = {OLD, NEW}, {OLD}, ending
    gate.refusing = rotating(gate, file)

    assert await use(work, token_file=file) == WORK[work][2]

    assert gate.tokens == [OLD, NEW]


@pytest.mark.parametrize("work", STREAMS)
async def test_it_ends_while_there_is_no_next(gate: Gate, use: Use, file: Path, work: str) -> None:
    gate.known, gate.ended = {OLD}, {OLD}

    with pytest.raises(runstore.CredentialExpired):
        await use(work, token_file=file)

    assert gate.tokens == [OLD]


async def test_data_that_can_be_read_once_is_not_sent_again(
    gate: Gate, use: Use, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.refusing = rotating(gate, file)
    monkeypatch.setitem(
        WORK,
        "upload",
        (
            lambda client: client.artifacts.upload("run", "name", iter([CONTENT])),
            lambda client: client.artifacts.upload("run", "name", iter([CONTENT])),
            None,
        ),
    )

    with pytest.raises(runstore.Unauthenticated):
        await use("upload", token_file=file)

    assert gate.tokens == [OLD]


async def test_appends_that_share_a_request_are_all_repeated(gate: Gate, file: Path) -> None:
    gate.known = {OLD, NEW}
    async with runstore.connect(gate.address, token_file=file) as client:
        run = client.run("run")
        first = asyncio.create_task(run.append("tick"))
        others = [asyncio.create_task(run.append("tick")) for _ in range(10)]
        await first
        gate.known, gate.refusing = {NEW}, rotating(gate, file)
        await asyncio.gather(*others)

    assert ("AppendMany", OLD) in gate.shown
    assert gate.shown[-1][1] == NEW
    assert len(gate.shown) <= 4


# Nobody gets to see it.


async def test_it_is_in_no_text(
    gate: Gate, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("RUNSTORE_TOKEN", OLD)
    seen: list[str] = []
    for given in ({"token": OLD}, {"token_file": file}, {}):
        async with runstore.connect(gate.address, **given) as client:
            seen.append(repr(client) + repr(client._connection) + repr(vars(client._connection)))
            with pytest.raises(runstore.Unauthenticated) as raised:
                await append(client)
        error = raised.value
        assert error.__traceback__
        error.__traceback__ = error.__traceback__.tb_next  # without this function's own
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        seen.append("".join(trace.format()) + repr(error) + repr(vars(error)))
        assert "<secret>" in seen[-1]

    assert len(seen) == 6
    assert gate.tokens == [OLD] * 3
    assert not [each for each in (*seen, caplog.text) if OLD in each]
