"""Standard output, whose reader may leave before a command ends, as `head` does."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from runstore_server.cli.exits import ExitCode

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Output(io.FileIO):
    """Ends the command once its reader has left; what is still printed on the way out is dropped.

    Unlike SIGPIPE, an exception lets servers stop in order, and is not meant for broken sockets.
    """

    _has_reader = True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or raise SystemExit with READER_LEFT."""
        if not self._has_reader:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError:
            self._has_reader = False
            raise SystemExit(ExitCode.READER_LEFT) from None


def end_with_its_reader() -> None:
    """From here on, what prints to standard output ends the command once its reader has left."""
    printed = sys.stdout
    if not isinstance(printed, io.TextIOWrapper):  # closed, or a test's
        return
    raw = _Output(printed.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=printed.encoding,
        errors=printed.errors,
        line_buffering=printed.line_buffering or printed.write_through,
    )
