"""What the `runstore` command exits with. Scripts branch on it, so a number keeps its meaning."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Ends of a command, each with its meaning: --help and docs/cli.md have these sentences."""

    meaning: str

    def __new__(cls, number: int, meaning: str) -> ExitCode:
        made = int.__new__(cls, number)
        made._value_ = number
        made.meaning = meaning
        return made

    DONE = 0, "It is done; what was checked holds."
    UNTRUE = (
        1,
        "What was checked does not hold: two sides differ, a chain is broken, a server does not"
        " serve, a schema has another version.",
    )
    USAGE = 2, "Wrong usage: an option, an argument or a setting."
    UNANSWERED = 3, "No server, or no database, answered in time."
    FAILED = 4, "It failed: what answered refused it, or this machine did; the message says why."
    DEFECT = 5, "A defect of runstore, with a traceback."
    INTERRUPTED = 130, "Ctrl-C."
    READER_LEFT = 141, "What read its output left, as `head` does once it has enough."
