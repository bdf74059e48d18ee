"""Search windows: the stretches of the feed that one search looks through, newest first.

A row of the search index carries, beside its words, the number of the block of positions it lies
in, for blocks of several sizes. A window is a few neighbouring blocks of one size. Postgres finds
the rows of a window and a word in one index, at a cost that grows with the smaller of the two, so a
search for a common word ends in the newest window, and one for a rare word soon looks through the
whole in a few large ones.
"""

from __future__ import annotations

from dataclasses import dataclass

# Positions in a block are two to the power of these; each size has a name of its own.
BLOCK_BITS = (13, 16, 19, 22, 25, 28, 31)
SMALLEST = 1 << BLOCK_BITS[0]
# A window holds so many times the positions looked through before it.
GROWTH = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbouring blocks of one size; the newest may reach beyond what is wanted."""

    level: int
    first_block: int
    last_block: int

    @property
    def start(self) -> int:
        """The first position in it."""
        return self.first_block << BLOCK_BITS[self.level]

    @property
    def lexemes(self) -> list[str]:
        """What its rows carry one of."""
        return [
            block_lexeme(self.level, block)
            for block in range(self.first_block, self.last_block + 1)
        ]


def block_lexemes(position: int) -> list[str]:
    """What a row at a position carries."""
    return [block_lexeme(level, position >> bits) for level, bits in enumerate(BLOCK_BITS)]


def block_lexeme(level: int, block: int) -> str:
    return f"=b{level}:{block}"


def next_window(below: int, *, scanned: int, found: int, wanted: int) -> Window:
    """The window that ends before position `below` (at least 1).

    It is as large as promises `wanted` more matches, judged by the `found` ones in the `scanned`
    positions so far, and grows by steps.
    """
    room = max(SMALLEST, scanned * GROWTH)
    if found:
        room = max(SMALLEST, min(room, scanned * wanted * 2 // found))
    level = 0
    while level + 1 < len(BLOCK_BITS):
        size = 1 << BLOCK_BITS[level + 1]
        if below % size or size > room:
            break
        level += 1
    bits = BLOCK_BITS[level]
    last_block = (below - 1) >> bits
    count = max(1, min(room >> bits, last_block % GROWTH + 1))
    return Window(level, last_block - count + 1, last_block)
