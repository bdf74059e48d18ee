"""Events, a line each."""

from __future__ import annotations

from rich.text import Text
from runstore import Event, FeedEntry

from runstore_server.cli.printing import console
from runstore_server.cli.tables.cells import payload_cell


def print_event(event: Event) -> None:
    where = " ".join(filter(None, (event.node_id, event.tool, event.model, event.actor)))
    line = Text.assemble(
        (f"{event.seq:>6} ", "bold"),
        (f"{event.recorded_at:%H:%M:%S.%f} "[:-4] + " ", "dim"),
        (f"{event.type:<20} ", "cyan"),
        (f"{where:<16} ", "green"),
        payload_cell(event.payload),
    )
    console.print(line, soft_wrap=True)


def print_entry(entry: FeedEntry) -> None:
    """An event after its position and run."""
    console.print(Text(f"{entry.position:>8}  {entry.run_id} ", style="dim"), end="")
    print_event(entry.event)
