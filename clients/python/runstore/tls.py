"""TLS: the files that a connection is secured with."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import grpc

from runstore.arguments import InvalidArgument, instance
from runstore.files import Reread
from runstore.targets import is_secure

_VARIABLES = {
    "ca": "RUNSTORE_CA_FILE",
    "cert": "RUNSTORE_CLIENT_CERT_FILE",
    "key": "RUNSTORE_CLIENT_KEY_FILE",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What the files of TLS held when they were read."""

    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


Security = Contents | grpc.ChannelCredentials | None
"""What a channel is secured with; None means plain text."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A connection over TLS. All files are PEM.

    They are read when the client is made and again each minute. Once they have changed, the client
    opens a new channel, over which later calls go and streams are resumed.

    ca: the CA of the server's certificate; without it gRPC's own list of well-known ones.
    cert, key: the client's certificate and its key, for servers that ask for one.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC connects with; raise `InvalidArgument` for files that cannot be used."""
        return _ssl_credentials(self.contents())

    def contents(self) -> Contents:
        """What the files hold; raise `InvalidArgument` for those that cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise InvalidArgument("tls", "must have a cert and its key, or neither")
        return Contents(*(self._content(each.name) for each in fields(self)))

    def check(self, read: Security) -> None:
        """Raise `InvalidArgument` unless the files still hold this, and belong together."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # which keys are too weak is for gRPC to say
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise InvalidArgument("tls", f"has files that cannot be used: {error}") from error
        if self.contents() != read:
            raise InvalidArgument("tls", "has files that are being written")

    def _content(self, name: str) -> bytes | None:
        path = getattr(self, name)
        if path is None:
            return None
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise InvalidArgument(
                f"tls.{name}", f"cannot be read: {path}: {error.strerror}"
            ) from error
        if b"-----BEGIN " not in content:
            raise InvalidArgument(f"tls.{name}", f"must be a PEM file, which {path} is not")
        return content


def security_of(
    target: str, tls: Tls | None, credentials: grpc.ChannelCredentials | None
) -> Reread[Security]:
    """What to connect with, as it is now; raise `InvalidArgument` for what is none.

    For a target that asks for TLS where nothing else is given, the environment names the files.
    """
    if tls is not None and credentials is not None:
        raise InvalidArgument("tls", "must not be set together with credentials")
    if credentials is not None:
        given = instance(credentials, grpc.ChannelCredentials, "credentials")
        return Reread(lambda: given)
    if tls is None and not is_secure(target):
        return Reread(lambda: None)
    named: dict[str, Any] = {name: os.environ.get(of) or None for name, of in _VARIABLES.items()}
    files = Tls(**named) if tls is None else instance(tls, Tls, "tls")
    return Reread(files.contents, files.check)


def credentials_of(security: Security) -> grpc.ChannelCredentials | None:
    """What gRPC connects with; None for plain text."""
    return _ssl_credentials(security) if isinstance(security, Contents) else security


def _ssl_credentials(contents: Contents) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(contents.ca, contents.key, contents.cert)
