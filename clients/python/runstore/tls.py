"""TLS: the files that a connection is secured with."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import grpc

from runstore.arguments import InvalidArgument, instance
from runstore.targets import is_secure

_VARIABLES = {
    "ca": "RUNSTORE_CA_FILE",
    "cert": "RUNSTORE_CLIENT_CERT_FILE",
    "key": "RUNSTORE_CLIENT_KEY_FILE",
}


@dataclass(frozen=True, slots=True)
class Tls:
    """A connection over TLS. All files are PEM and are read when the client is made.

    ca: the CA of the server's certificate; without it gRPC's own list of well-known ones.
    cert, key: the client's certificate and its key, for servers that ask for one.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC connects with; raise `InvalidArgument` for files that cannot be used."""
        if (self.cert is None) != (self.key is None):
            raise InvalidArgument("tls", "must have a cert and its key, or neither")
        ca, cert, key = (self._content(each.name) for each in fields(self))
        return grpc.ssl_channel_credentials(ca, key, cert)

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


def credentials_of(
    target: str, tls: Tls | None, credentials: grpc.ChannelCredentials | None
) -> grpc.ChannelCredentials | None:
    """What to connect with, None for plaintext; raise `InvalidArgument` for what is none.

    For a target that asks for TLS where nothing else is given, the environment names the files.
    """
    if tls is not None and credentials is not None:
        raise InvalidArgument("tls", "must not be set together with credentials")
    if credentials is not None:
        return instance(credentials, grpc.ChannelCredentials, "credentials")
    if tls is not None:
        return instance(tls, Tls, "tls").credentials()
    if not is_secure(target):
        return None
    named: dict[str, Any] = {name: os.environ.get(of) or None for name, of in _VARIABLES.items()}
    return Tls(**named).credentials()
