"""What TLS is asked for with is checked when a client is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import runstore
from certificates import Authority
from runstore import InvalidArgument, Tls

TARGET = "grpcs://localhost:7411"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    authority = Authority(tmp_path)
    cert, key = authority.issue("client")
    (tmp_path / "text").write_text("no PEM")
    return {
        "ca": authority.file,
        "cert": cert,
        "key": key,
        "text": tmp_path / "text",
        "none": tmp_path / "none",
    }


@pytest.mark.parametrize("connect", [runstore.connect, runstore.Client])
@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"ca": "none"}, r"^tls\.ca: cannot be read: .*none"),
        ({"ca": "text"}, r"^tls\.ca: must be a PEM file, which .*text is not"),
        ({"cert": "cert"}, "^tls: must have a cert and its key, or neither"),
        ({"key": "key"}, "^tls: must have a cert and its key, or neither"),
        ({"cert": "cert", "key": "text"}, r"^tls\.key: must be a PEM file"),
    ],
)
def test_files_that_cannot_be_used_are_refused_by_name(
    connect: Callable[..., Any], files: dict[str, Path], given: dict[str, str], refused: str
) -> None:
    tls = Tls(**{name: files[file] for name, file in given.items()})

    with pytest.raises(InvalidArgument, match=refused):
        connect(TARGET, tls=tls)


def test_those_of_the_environment_are_too(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTORE_CA_FILE", str(files["none"]))
    with pytest.raises(InvalidArgument, match=r"^tls\.ca: cannot be read"):
        runstore.connect(TARGET)
    monkeypatch.setenv("RUNSTORE_CA_FILE", "")
    monkeypatch.setenv("RUNSTORE_CLIENT_KEY_FILE", str(files["key"]))
    with pytest.raises(InvalidArgument, match=r"^tls: must have a cert and its key"):
        runstore.connect(TARGET)


async def test_what_is_given_comes_before_the_environment(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNSTORE_CA_FILE", str(files["none"]))

    await runstore.connect(TARGET, tls=Tls(ca=files["ca"])).close()
    await runstore.connect(TARGET, credentials=grpc.ssl_channel_credentials()).close()
    await runstore.connect("localhost:7411").close()  # has no use for it


def test_only_one_of_tls_and_credentials_is_given(files: dict[str, Path]) -> None:
    with pytest.raises(InvalidArgument, match=r"^tls: must not be set together with credentials"):
        runstore.connect(TARGET, tls=Tls(files["ca"]), credentials=grpc.ssl_channel_credentials())


@pytest.mark.parametrize("target", ["grpcs://localhost", "grpcs://", "grpcs://grpcs://localhost:1"])
def test_an_address_behind_the_scheme_is_checked_as_any(target: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^target: must be host:port"):
        runstore.connect(target)
