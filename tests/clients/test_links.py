"""Files of TLS that change have a client go on over another channel, and lose nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
import runstore
import runstore.files
from certificates import Authority
from clients.gate import Gate, serving
from runstore import InvalidArgument, Tls
from until import until

ANYBODY = ""


class Files:
    """The files of a client, and the credentials of servers that it trusts and that trust it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.issue("first")

    def issue(self, name: str) -> None:
        """Have another authority, and certificates of it, in the same files."""
        (self._folder / name).mkdir()
        self.authority = Authority(self._folder / name)
        (self._folder / "ca.pem").write_bytes(self.authority.file.read_bytes())
        self.renew()

    def renew(self, *kinds: str) -> None:
        """Replace the client's certificate and key, or one of them."""
        cert, key = self.authority.issue("client")
        for each in kinds or ("crt", "key"):
            content = {"crt": cert, "key": key}[each].read_bytes()
            (self._folder / f"client.{each}").write_bytes(content)

    def spoil(self, name: str) -> None:
        """Cut a file in half."""
        content = (self._folder / name).read_bytes()
        (self._folder / name).write_bytes(content[: len(content) // 2])

    @property
    def tls(self) -> Tls:
        folder = self._folder
        return Tls(folder / "ca.pem", folder / "client.crt", folder / "client.key")

    def of_server(self) -> grpc.ServerCredentials:
        cert, key = self.authority.issue("server")
        return grpc.ssl_server_credentials(
            [(key.read_bytes(), cert.read_bytes())],
            self.authority.file.read_bytes(),
            require_client_auth=True,
        )


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest_asyncio.fixture
async def gate(files: Files) -> AsyncIterator[Gate]:
    async with serving(Gate(ANYBODY), files.of_server()) as served:
        yield served


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read again for each call."""
    monkeypatch.setattr(runstore.files, "READ_AGAIN_SECONDS", 0)


class Asynchronous:
    """Uses the asynchronous client."""

    def __init__(self, address: str, tls: Tls) -> None:
        self.client: Any = runstore.connect(address, tls=tls, timeout=60)

    async def append(self) -> None:
        await self.client.run("run").append("tick")

    async def events(self) -> list[int]:
        stream = self.client.run("run").events(follow=True)
        async with aclosing(stream) as events:
            return [event.seq async for event in events]

    async def close(self) -> None:
        await self.client.close()


class Synchronous:
    """Uses the synchronous client."""

    def __init__(self, address: str, tls: Tls) -> None:
        self.client: Any = runstore.Client(address, tls=tls, timeout=60)

    async def append(self) -> None:
        await asyncio.to_thread(self.client.run("run").append, "tick")

    async def events(self) -> list[int]:
        def followed() -> list[int]:
            with closing(self.client.run("run").events(follow=True)) as events:
                return [event.seq for event in events]

        return await asyncio.to_thread(followed)

    async def close(self) -> None:
        await asyncio.to_thread(self.client.close)


User = Asynchronous | Synchronous
Connect = Callable[..., Awaitable[User]]


@pytest_asyncio.fixture(params=[Asynchronous, Synchronous])
async def user(request: pytest.FixtureRequest, gate: Gate, files: Files) -> AsyncIterator[User]:
    opened = request.param(gate.address, files.tls)
    yield opened
    await opened.close()


def channels(user: User) -> list[Any]:
    found: list[Any] = user.client._connection._links.all()
    return found


@pytest.mark.usefixtures("at_once")
async def test_what_is_called_later_goes_over_another_channel_and_streams_stay(
    gate: Gate, files: Files, user: User
) -> None:
    gate.may_go_on.clear()
    following = asyncio.create_task(user.events())
    await until(lambda: gate.peers)
    await user.append()
    files.renew()
    await user.append()
    await user.append()

    of_stream, before, after, again = gate.peers
    assert of_stream == before
    assert after == again != before
    of_stream_only, newest = channels(user)
    gate.may_go_on.set()
    assert await following == [1, 2]
    assert channels(user) == [newest]
    with pytest.raises((ValueError, grpc.aio.UsageError), match=r"[Cc]losed"):
        await asyncio.to_thread(of_stream_only.unary_unary("/any/Call"), b"")


async def test_files_are_read_again_each_minute(
    gate: Gate, files: Files, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await user.append()
    files.renew()
    await user.append()
    monkeypatch.setattr(runstore.files, "READ_AGAIN_SECONDS", 0)
    await user.append()

    first, second, third = gate.peers
    assert first == second != third


async def test_a_server_of_another_authority_is_gone_on_with_once_its_file_is_there(
    files: Files, user: User, gate: Gate
) -> None:
    """The files are read at once when the server cannot be reached, not only after a minute."""
    gate.may_go_on.clear()
    following = asyncio.create_task(user.events())
    await until(lambda: gate.peers)
    port = int(gate.address.rpartition(":")[2])
    files.issue("second")

    async with serving(Gate(ANYBODY), files.of_server(), port) as second:
        await gate.stop()
        await user.append()
        assert await following == [1, 2]

    assert {name for name, _ in second.shown} >= {"AppendEvent", "StreamEvents"}
    assert len(channels(user)) == 1


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("change", ["crt", "key"])
async def test_of_a_pair_that_is_half_written_the_one_before_stays(
    gate: Gate, files: Files, user: User, change: str
) -> None:
    await user.append()
    files.renew(change)
    await user.append()
    files.renew()
    await user.append()

    before, half, after = gate.peers
    assert before == half != after


@pytest.mark.usefixtures("at_once")
async def test_files_that_cannot_be_used_are_told_once_the_server_cannot_be_reached(
    gate: Gate, files: Files, user: User
) -> None:
    await user.append()
    files.spoil("ca.pem")
    await user.append()
    await gate.stop()
    user.client._connection.timeout = 1

    with pytest.raises(runstore.Unavailable, match=r"\(tls: has files that cannot be used: "):
        await user.append()


def test_files_that_are_written_while_they_are_read_are_not_taken(files: Files) -> None:
    read = files.tls.contents()
    files.renew()

    with pytest.raises(InvalidArgument, match=r"^tls: has files that are being written$"):
        files.tls.check(read)


@pytest.mark.parametrize("connect", [runstore.connect, runstore.Client])
def test_a_key_of_another_certificate_is_refused_when_a_client_is_made(
    connect: Callable[..., Any], files: Files
) -> None:
    files.renew("key")

    with pytest.raises(InvalidArgument, match=r"^tls: has files .*KEY_VALUES_MISMATCH"):
        connect("localhost:7411", tls=files.tls)


@pytest.mark.usefixtures("at_once")
async def test_a_client_that_closes_closes_every_channel(
    gate: Gate, files: Files, user: User
) -> None:
    gate.may_go_on.clear()
    following = asyncio.create_task(user.events())
    await until(lambda: gate.peers)
    files.renew()
    await user.append()

    await user.close()

    with pytest.raises((runstore.ClientClosed, asyncio.CancelledError)):
        await following
