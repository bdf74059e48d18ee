"""Search windows: the stretches of the feed that a search goes through, newest first.

A search row carries, beside its words, the number of the block of positions it lies in, for blocks
of several sizes. A window is a few neighbouring blocks of one size. Postgres finds the rows of a
window that have a word in one index, at a cost that grows with the smaller of the two sets. So a
search for a common word ends in the newest window, and a search for a rare word soon covers the
whole feed in a few large windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

# The sizes of blocks: two to the power of each of these positions.
BLOCK_BITS = (13, 16, 19, 22, 25, 28, 31)
SMALLEST = 1 << BLOCK_BITS[0]
# How many times more positions a window may hold than were searched before it.
GROWTH = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Neighbouring blocks of one size; the newest may reach beyond the positions searched."""

    level: int
    first_block: int
    last_block: int

    @property
    def start(self) -> int:
        """The first position in the window."""
        return self.first_block << BLOCK_BITS[self.level]

    @property
    def lexemes(self) -> list[str]:
        """The lexemes of which each row in the window carries one."""
        return [
            block_lexeme(self.level, block)
            for block in range(self.first_block, self.last_block + 1)
        ]


def block_lexemes(position: int) -> Sequence[str]:
    """The lexemes that a row at a position carries."""
    return _lexemes_in(position >> BLOCK_BITS[0], BLOCK_BITS)


@lru_cache(maxsize=10)  # neighbouring positions are in the same blocks
def _lexemes_in(smallest: int, block_bits: Sequence[int]) -> Sequence[str]:
    """Those of all positions in one of the smallest blocks."""
    position = smallest << block_bits[0]
    return [block_lexeme(level, position >> bits) for level, bits in enumerate(block_bits)]


def block_lexeme(level: int, block: int) -> str:
    return f"=b{level}:{block}"


def next_window(below: int, *, scanned: int, found: int, wanted: int) -> Window:
    """The window that ends before position `below` (at least 1).

    It is large enough to promise `wanted` more matches, judging by the `found` ones in the
    `scanned` positions so far, and grows step by step.
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
