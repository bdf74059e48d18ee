"""Events, a line each."""

from __future__ import annotations

from rich.text import Text
from runstore import Event, FeedEntry

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import payload_cell
from runstore_server.cli.tables.layout import limit, print_line, printable, wrapped

# Payloads that do not fit beside it begin below the time.
_INDENT = 7


def print_event(event: Event) -> None:
    where = " ".join(filter(None, (event.node_id, event.tool, event.model, event.actor)))
    line = Text.assemble(
        (f"{event.seq:>6} ", "bold"),
        (f"{event.recorded_at:%H:%M:%S.%f}"[:-4] + " ", "dim"),
        (f"{event.type:<20} ", "cyan"),
    )
    source = Text(f"{printable(where):<16} ", style="green")
    payload = Text(printable(payload_cell(event.payload)))
    room = limit()
    below: list[Text] = []
    for part in (source, payload):
        if below or (room is not None and line.cell_len + part.cell_len > room):
            below.append(part)
        else:
            line.append_text(part)
    print_line(line)
    for part in below:
        for piece in wrapped(part, _INDENT):
            print_line(Text(" " * _INDENT).append_text(piece))


def print_entry(entry: FeedEntry) -> None:
    """An event after its position and run."""
    end = " " if limit() is None else "\n"
    console.print(
        Text(f"{entry.position:>8}  {entry.run_id}", style="dim"), end=end, soft_wrap=True
    )
    print_event(entry.event)
