"""TLS on both ports: who gets in, and what becomes of certificates that change."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import runstore
from certificates import Authority
from conftest import make_served_store
from pydantic import ValidationError
from runstore_server.app import App
from runstore_server.edge.listening import UnusableCertificate
from runstore_server.edge.tls import Certificates, TlsFiles
from runstore_server.settings import Settings

ROTATIONS = 50


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def serving(settings: Settings, **changed: object) -> AsyncIterator[App]:
    """A server with TLS; `address` and `http_address` name the host as its certificate does."""
    configured = settings.model_copy(update=changed)
    server = App(configured, make_served_store(str(settings.database_url), settings.db_schema))
    address = await server.start()
    server.address = address.replace("127.0.0.1", "localhost")  # type: ignore[attr-defined]
    try:
        yield server
    finally:
        await server.drain()


@pytest.fixture
async def secured(settings: Settings, authority: Authority) -> AsyncIterator[App]:
    certificate, key = authority.issue("server")
    async with serving(settings, tls_cert_file=certificate, tls_key_file=key) as server:
        yield server


async def saved(server: Any, tls: runstore.Tls | None, *, target: str = "grpcs://{}") -> str:
    """The id of a run that a client with these files saves."""
    async with runstore.connect(target.format(server.address), timeout=30, tls=tls) as client:
        return (await client.save_run()).run_id


async def read(server: App, context: ssl.SSLContext) -> int:
    """The status of a request over HTTPS."""
    async with httpx.AsyncClient(verify=context) as client:
        return (await client.get(f"https://{server.http_address}/livez")).status_code


def trusting(ca: Path, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if pair:
        context.load_cert_chain(*pair)
    return context


def served(address: str) -> bytes:
    """The certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 60) as plain,
        context.wrap_socket(plain) as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def in_file(certificate: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(certificate.read_text())


async def test_clients_that_trust_the_authority_are_served(
    secured: App, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await saved(secured, runstore.Tls(ca=authority.file))
    assert await saved(secured, runstore.Tls(ca=authority.file), target="{}")
    monkeypatch.setenv("RUNSTORE_CA_FILE", str(authority.file))
    assert await saved(secured, None)
    assert await read(secured, trusting(authority.file)) == 200
    shown = secured._metrics.registry.get_sample_value(
        "runstore_tls_certificate_expiry_timestamp_seconds"
    )
    assert shown == certificates(secured).expires_at.timestamp()


async def test_clients_that_trust_another_are_not(secured: App, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")

    with pytest.raises(runstore.Unavailable, match="no server answers"):
        await saved(secured, runstore.Tls(ca=other.file))
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await read(secured, trusting(other.file))


async def test_the_command_line_says_why_it_is_not_served(secured: App, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    # Of several addresses of a name, gRPC tells of the one that failed last.
    address = secured.address.replace("localhost", "127.0.0.1")  # type: ignore[attr-defined]

    async def said(target: str, ca: Path, *command: str) -> tuple[int, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "runstore_server", *command, "--target", target],
            env={**os.environ, "RUNSTORE_CA_FILE": str(ca)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stderr

    listing = "runs", "ls"
    code, untrusted = await said(f"grpcs://{address}", other.file, *listing)
    assert code == 3
    assert f"no TLS with grpcs://{address}: CERTIFICATE_VERIFY_FAILED" in untrusted
    code, plain = await said(address, other.file, *listing)
    assert code == 3
    assert f"no server answers at {address}" in plain
    assert f"or grpcs://{address} if it serves TLS" in plain
    for command in (listing, ("health",)):
        code, unreadable = await said(f"grpcs://{address}", tmp_path / "none", *command)
        assert code == 2
        assert unreadable.startswith("tls.ca: cannot be read: ")
        assert unreadable.count("\n") == 1


async def test_operators_are_served_in_plain_text_where_that_is_asked_for(
    settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("server")
    people = Authority(tmp_path, "people")
    files = {"tls_cert_file": certificate, "tls_key_file": key, "tls_client_ca_file": people.file}
    async with serving(settings, **files, ops_port=0) as server, httpx.AsyncClient() as operator:
        assert (await operator.get(f"http://{server.ops_address}/readyz")).status_code == 200


async def test_plaintext_is_not_served_beside_tls(secured: App) -> None:
    with pytest.raises(runstore.Unavailable):
        await saved(secured, None, target="{}")
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):  # a reset, or an end
            await client.get(f"http://{secured.http_address}/livez")


async def test_tls_to_a_server_without_it_fails_at_once(
    server_address: str, authority: Authority
) -> None:
    async with runstore.connect(
        f"grpcs://{server_address}", tls=runstore.Tls(ca=authority.file)
    ) as client:
        with pytest.raises(runstore.Unavailable, match="no server answers"):
            await client.save_run()


async def test_clients_show_certificates_where_they_are_asked_for(
    settings: Settings, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = authority.issue("server")
    people = Authority(tmp_path, "people")
    good, stranger = people.issue("writer"), authority.issue("stranger")
    files = {"tls_cert_file": certificate, "tls_key_file": key, "tls_client_ca_file": people.file}
    async with serving(settings, **files) as server:
        assert await saved(server, runstore.Tls(authority.file, *good))
        assert await read(server, trusting(authority.file, good)) == 200
        for name, path in zip(
            ("CA", "CLIENT_CERT", "CLIENT_KEY"), (authority.file, *good), strict=True
        ):
            monkeypatch.setenv(f"RUNSTORE_{name}_FILE", str(path))
        assert await saved(server, None)

        for pair in (None, stranger):
            with pytest.raises(runstore.Unavailable):
                await saved(server, runstore.Tls(authority.file, *(pair or ())))
            with pytest.raises(httpx.HTTPError):
                await read(server, trusting(authority.file, pair))


async def test_a_new_authority_of_clients_counts_for_the_next_connection(
    settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("server")
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    before, after = old.issue("before"), new.issue("after")
    accepted = tmp_path / "accepted.pem"
    accepted.write_bytes(old.file.read_bytes())
    files = {"tls_cert_file": certificate, "tls_key_file": key, "tls_client_ca_file": accepted}
    async with serving(settings, **files) as server:
        assert await saved(server, runstore.Tls(authority.file, *before))
        accepted.write_bytes(new.file.read_bytes())
        certificates(server).read_again()

        assert await saved(server, runstore.Tls(authority.file, *after))
        assert await read(server, trusting(authority.file, after)) == 200
        with pytest.raises(runstore.Unavailable):
            await saved(server, runstore.Tls(authority.file, *before))
        with pytest.raises(httpx.HTTPError):
            await read(server, trusting(authority.file, before))


async def test_certificates_change_under_load_and_no_call_fails(
    secured: App, authority: Authority
) -> None:
    ends = asyncio.Event()

    async def append(run: runstore.AsyncRun) -> int:
        count = 0
        while not ends.is_set():
            await run.append("tick")
            count += 1
        return count

    async def get() -> int:
        count, context = 0, trusting(authority.file)
        while not ends.is_set():
            assert await read(secured, context) == 200
            count += 1
        return count

    tls = runstore.Tls(ca=authority.file)
    async with runstore.connect(secured.address, timeout=60, tls=tls) as client:  # type: ignore[attr-defined]
        run = await client.save_run()
        async with asyncio.TaskGroup() as load:
            counts = [load.create_task(each) for each in (append(run), append(run), get())]
            for _ in range(ROTATIONS):
                certificate, _ = authority.issue("server")
                certificates(secured).read_again()
                for address in (secured.address, secured.http_address):  # type: ignore[attr-defined]
                    assert await asyncio.to_thread(served, address) == in_file(certificate)
                assert await saved(secured, tls)
            ends.set()
        assert all(each.result() for each in counts)


async def test_the_files_are_read_again_by_themselves(
    secured: App, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_again = asyncio.Event()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("runstore_server.edge.tls.CHECK_SECONDS", 0.01)
    followed = certificates(secured)
    monkeypatch.setattr(
        Certificates, "read_again", lambda _: loop.call_soon_threadsafe(read_again.set)
    )
    following = asyncio.create_task(followed.follow())
    await asyncio.wait_for(read_again.wait(), 60)
    following.cancel()


def test_a_pair_that_is_half_written_is_not_served(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    kept = certificate.read_bytes(), key.read_bytes()
    followed = Certificates(TlsFiles(certificate, key))
    expires_at = followed.expires_at
    authority.issue("server", days=1.5)
    new_key = key.read_bytes()

    key.write_bytes(kept[1])
    followed.read_again()
    assert followed.expires_at == expires_at

    key.write_bytes(new_key)
    followed.read_again()
    assert followed.expires_at > expires_at


def test_a_folder_that_changes_by_one_link_is_followed(
    tmp_path: Path, authority: Authority
) -> None:
    def mounted(version: str, days: float) -> None:
        folder = tmp_path / version
        folder.mkdir()
        for each in authority.issue("issued", days=days):
            each.rename(folder / f"tls{each.suffix}")
        link = tmp_path / "next"
        link.symlink_to(folder)
        link.rename(tmp_path / "..data")

    mounted("..1", 1)
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    followed = Certificates(TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key"))
    expires_at = followed.expires_at

    mounted("..2", 1.5)
    followed.read_again()

    assert followed.expires_at > expires_at


BAD: dict[str, tuple[Callable[[Path, Path, Authority], object], str]] = {
    "no file": (
        lambda certificate, key, _: key.unlink(),
        "server.key cannot be read: No such",
    ),
    "links in a circle": (
        lambda certificate, key, _: (key.unlink(), key.symlink_to(key)),
        "server.key cannot be read: ",
    ),
    "no certificate": (lambda certificate, key, _: certificate.write_text("x"), "no PEM cert"),
    "no key": (lambda certificate, key, _: key.write_text("x"), "no unencrypted PEM key"),
    "an encrypted key": (
        lambda certificate, key, authority: authority.issue("server", password=b"secret"),
        "no unencrypted PEM key",
    ),
    "another's key": (
        lambda certificate, key, authority: authority.issue("other")[1].rename(key),
        "server.key is not the key of .*server.crt",
    ),
    "an expired one": (
        lambda certificate, key, authority: authority.issue("server", days=-1),
        "server.crt expired at",
    ),
}


@pytest.mark.parametrize(("spoil", "problem"), BAD.values(), ids=BAD.keys())
def test_files_that_cannot_be_used_are_told_and_change_nothing(
    authority: Authority,
    spoil: Callable[[Path, Path, Authority], object],
    problem: str,
) -> None:
    certificate, key = authority.issue("server")
    followed = Certificates(TlsFiles(certificate, key))
    expires_at = followed.expires_at

    spoil(certificate, key, authority)
    followed.read_again()

    assert followed.expires_at == expires_at
    with pytest.raises(UnusableCertificate, match=problem):
        Certificates(TlsFiles(certificate, key))


def test_a_client_ca_that_is_none_is_told(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("server")
    ca = tmp_path / "ca.txt"
    ca.write_text("x")

    with pytest.raises(UnusableCertificate, match=r"ca\.txt holds no PEM certificate"):
        Certificates(TlsFiles(certificate, key, ca))


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"tls_cert_file": "c"}, "tls_key_file"),
        ({"tls_key_file": "k"}, "tls_key_file"),
        ({"tls_client_ca_file": "a"}, "tls_client_ca_file"),
    ],
)
def test_a_part_of_the_files_is_refused(given: dict[str, str], refused: str) -> None:
    with pytest.raises(ValidationError, match=refused):
        Settings(**given)  # type: ignore[arg-type]


def certificates(server: App) -> Certificates:
    assert server._certificates
    return server._certificates
