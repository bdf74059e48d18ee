"""Callers by the names in their certificates, which TLS has verified: a SPIFFE id and DNS names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from runstore_storage.contract.access import Grant, Principal, PrincipalKind

from runstore_server.edge.identity import AuthContext, Identity

SPIFFE = "spiffe://"
SPIFFE_OF_PEER, DNS_OF_PEER = "peer_spiffe_id", "peer_dns"
_DNS_NAME = r"[A-Za-z0-9_]([A-Za-z0-9_.-]*)"
_SPIFFE_ID = r"spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*"


def _spelled(name: str) -> str:
    """A name as it is compared: DNS does not tell capitals from other letters."""
    return name if name.startswith(SPIFFE) else name.lower()


CertificateName = Annotated[
    str, Field(pattern=f"^({_SPIFFE_ID}|{_DNS_NAME})$"), AfterValidator(_spelled)
]
"""A SPIFFE id or a DNS name, as the settings write it."""


def names_of(context: AuthContext) -> Sequence[str]:
    """The names in the certificate of a gRPC connection; none where none was shown."""
    return _names(_texts(context, SPIFFE_OF_PEER), _texts(context, DNS_OF_PEER))


def names_in(certificate: Mapping[str, Any] | None) -> Sequence[str]:
    """The names in a certificate that `ssl` has verified, as its `getpeercert` returns it."""
    found = (certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in found if kind == "URI"]
    # A SPIFFE id is one only where it is the only URI; gRPC leaves it out otherwise.
    return _names(uris if len(uris) == 1 else [], [value for kind, value in found if kind == "DNS"])


class CertificateSubjects:
    """Callers by the names in their certificates.

    The first name that has grants decides, the SPIFFE id before DNS names, and those in the order
    of the certificate: the grants of several names are never united.
    """

    def __init__(self, grants: Mapping[str, Sequence[Grant]]) -> None:
        self._identities = {
            name: Identity(Principal(PrincipalKind.CERTIFICATE, name), tuple(given))
            for name, given in grants.items()
        }

    def __call__(self, names: Sequence[str]) -> Identity | None:
        """The caller of these names; None if none of them has grants."""
        known = (self._identities[name] for name in names if name in self._identities)
        return next(known, None)


def _texts(context: AuthContext, name: str) -> list[str]:
    return [value.decode(errors="replace") for value in context.get(name, ())]


def _names(uris: Iterable[str], dns_names: Iterable[str]) -> Sequence[str]:
    """Both kinds in one list, in which neither can be taken for the other."""
    return (
        *(uri for uri in uris if uri.startswith(SPIFFE)),
        *(name.lower() for name in dns_names if "/" not in name),
    )
