"""TLS: the server's key pair and its clients' CA, read again when their files change.

A connection keeps what it was opened with; the next one gets what was read last. Files that cannot
be used leave what was read before in place.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates

from runstore_server.edge.listening import UnusableCertificate

CHECK_SECONDS = 10.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the server's chain, its key, and the CA that clients' certificates must be of.

    Without a CA clients show no certificate.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Pair:
    """What the files held when they were read, and a context made of them."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None
    expires_at: datetime
    context: ssl.SSLContext = field(compare=False)


class Certificates:
    """What new connections are secured with; `follow` keeps it up to date.

    Raises `UnusableCertificate` if the files cannot be used at the start.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._pair = _read(files)
        self._problem = ""

    @property
    def expires_at(self) -> datetime:
        """When the certificate that is served expires."""
        return self._pair.expires_at

    def for_grpc(self) -> grpc.ServerCredentials:
        """Credentials that each handshake takes from what was read last."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._configuration,
            require_client_authentication=self._files.client_ca is not None,
        )

    def for_http(self) -> ssl.SSLContext:
        """A context that hands each handshake to what was read last."""
        context = self._pair.context
        context.sni_callback = self._take_last
        return context

    async def follow(self) -> None:
        """Read the files again and again, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(self.read_again)

    def read_again(self) -> None:
        """Serve what is in the files now, or go on as before if that cannot be used."""
        try:
            found = _read(self._files)
        except UnusableCertificate as error:
            if str(error) != self._problem:
                _log.warning("the certificate stays as it was", problem=str(error))
            self._problem = str(error)
            return
        self._problem = ""
        if found != self._pair:
            self._pair = found
            _log.info("certificate renewed", expires_at=found.expires_at.isoformat())

    def _configuration(self) -> Any:
        pair = self._pair
        return grpc.ssl_server_certificate_configuration(
            [(pair.key, pair.certificate)], root_certificates=pair.client_ca
        )

    def _take_last(self, handshake: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        handshake.context = self._pair.context


def _read(files: TlsFiles) -> _Pair:
    # The folders that Kubernetes mounts change by one link: both files are read by where it points.
    certificate, key = _bytes(files.certificate), _bytes(files.key)
    client_ca = _bytes(files.client_ca) if files.client_ca else None
    leaf = _certificates(certificate, files.certificate)[0]
    if client_ca is not None and files.client_ca:
        _certificates(client_ca, files.client_ca)
    try:
        private = load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnusableCertificate(f"{files.key} holds no unencrypted PEM key: {error}") from error
    try:
        public = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        unknown = f"{files.certificate} has a key of an unknown kind: {error}"
        raise UnusableCertificate(unknown) from error
    if _spelled(private.public_key()) != _spelled(public):
        raise UnusableCertificate(f"{files.key} is not the key of {files.certificate}")
    expires_at = leaf.not_valid_after_utc
    if expires_at <= datetime.now(UTC):
        expired = f"{files.certificate} expired at {expires_at.isoformat()}"
        raise UnusableCertificate(expired)
    return _Pair(certificate, key, client_ca, expires_at, _context(files))


def _bytes(path: Path) -> bytes:
    try:
        return path.resolve().read_bytes()
    except OSError as error:
        raise UnusableCertificate(f"{path} cannot be read: {error.strerror}") from error
    except RuntimeError as error:  # of older Pythons, for links in a circle
        raise UnusableCertificate(f"{path} cannot be read: {error}") from error


def _certificates(pem: bytes, path: Path) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UnusableCertificate(f"{path} holds no PEM certificate: {error}") from error


def _spelled(public_key: Any) -> bytes:
    spelled: bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return spelled


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate.resolve(), files.key.resolve())
        if files.client_ca:
            context.load_verify_locations(files.client_ca.resolve())
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise UnusableCertificate(f"{files.certificate} cannot be used: {error}") from error
    return context
