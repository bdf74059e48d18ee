"""The text of a token: rs1_<id>_<secret>_<checksum>.

The secret is 256 random bits, so its plain SHA-256 is kept: stretching, as for passwords, would buy
nothing and let anybody keep the server busy. The checksum tells a typing error, and what was never
a token, without a look at the database.
"""

from __future__ import annotations

import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass
from hashlib import sha256

from runstore_storage.contract.admin import MARK

_ID_LETTERS = string.digits + string.ascii_lowercase
_ID_LENGTH = 12
_SECRET_BYTES = 32
_CHECKSUM_LETTERS = string.digits + string.ascii_letters
_CHECKSUM_LENGTH = 6
_TEXT = re.compile(r"(rs1_([0-9a-z]{12})_([A-Za-z0-9_-]{43}))_([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True)
class NewText:
    """A token that was made up; `text` is the secret one, not shown by its repr."""

    token_id: str
    secret_hash: bytes
    text: str

    def __repr__(self) -> str:
        return f"NewText(token_id={self.token_id!r})"


def new_token() -> NewText:
    """A token that nobody has."""
    token_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    begin = f"{MARK}{token_id}_{secret}"
    return NewText(token_id, _hash(secret), f"{begin}_{_checksum(begin)}")


def parsed(text: str) -> tuple[str, bytes] | None:
    """The id of a token and the hash of its secret; None for what is no token's text."""
    found = _TEXT.fullmatch(text)
    if not found or _checksum(found[1]) != found[4]:
        return None
    return found[2], _hash(found[3])


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two hashes are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _checksum(begin: str) -> str:
    rest, letters = zlib.crc32(begin.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        rest, letter = divmod(rest, len(_CHECKSUM_LETTERS))
        letters = _CHECKSUM_LETTERS[letter] + letters
    return letters
