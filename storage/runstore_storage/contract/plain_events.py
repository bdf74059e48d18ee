"""Plain events: most of what is appended, column by column instead of object by object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore_storage.contract.events import Event
from runstore_storage.contract.on_demand import OnDemand
from runstore_storage.contract.payloads import Payload

Origin = tuple[str, str, str, str, str]
"""An event's node_id, actor, model, tool and trace_parent."""
NO_ORIGIN: Origin = ("", "", "", "", "")


@dataclass(frozen=True, slots=True)
class PlainEvents(OnDemand[Event]):
    """Events of nothing but an id, a type, an origin and, if not None, a JSON text as payload.

    The ids differ, and none is empty; the texts have no content type. It is a sequence of the same
    events for whom columns are of no use.
    """

    ids: Sequence[str]
    types: Sequence[str]
    texts: Sequence[str | None]
    origins: Sequence[Origin]

    def __len__(self) -> int:
        return len(self.ids)

    def made(self, at: int) -> Event:
        """The event at a place."""
        node_id, actor, model, tool, trace_parent = self.origins[at]
        text = self.texts[at]
        return Event(
            self.types[at],
            self.ids[at],
            None if text is None else Payload(text),
            node_id,
            actor,
            model,
            tool,
            trace_parent=trace_parent,
        )
