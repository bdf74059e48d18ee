"""Which NATS subject an event is published on: `<prefix>.<project>.<run_id>.<type>`.

Each of the last three is one token. The characters that NATS forbids in a token (space, `.`, `*`,
`>`), `%`, and unprintable ones are written as %XX for each byte of their UTF-8, so that different
texts never share a token and URL-decoding gives the text back. The empty text is a single `%`.
"""

from __future__ import annotations

from urllib.parse import unquote

from runstore_storage.contract.feed import FeedEntry

# A server reads subject and reply subject in one line of at most 4096 bytes.
MAX_SUBJECT_BYTES = 3800

_EMPTY = "%"
_FORBIDDEN = frozenset(" .*>%")


def subject_of(prefix: str, entry: FeedEntry) -> str:
    """The subject of an entry."""
    texts = (entry.project, entry.run_id, entry.recorded.event.type)
    return ".".join((prefix, *map(token_of, texts)))


def token_of(text: str) -> str:
    """The text as one token."""
    return "".join(map(_escaped, text)) if text else _EMPTY


def text_of(token: str) -> str:
    """The text of a token."""
    return "" if token == _EMPTY else unquote(token, errors="strict")


def covers(wide: str, narrow: str) -> bool:
    """True when `wide` matches every subject that `narrow` matches.

    Both may contain wildcards, but `narrow` must not contain `>`.
    """
    patterns, tokens = wide.split("."), narrow.split(".")
    for index, token in enumerate(tokens):
        pattern = patterns[index] if index < len(patterns) else ""
        if pattern == ">":
            return True
        if pattern not in ("*", token):
            return False
    return len(patterns) == len(tokens)


def _escaped(character: str) -> str:
    if character.isprintable() and character not in _FORBIDDEN:
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode())
