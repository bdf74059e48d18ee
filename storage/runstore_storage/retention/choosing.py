"""Which of what is due goes: the same for what a preview counts and for what is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from runstore_storage.contract.removals import RemovalKind
from runstore_storage.contract.retention import Blocker
from runstore_storage.sql.retention import Candidate


def blocked_by(
    found: Iterable[Candidate], unread: Collection[int]
) -> list[tuple[Candidate, Blocker | None]]:
    """What is due with what keeps it, None for what goes; nothing beside a run that goes itself.

    A run of which something is `unread` stays; its parts do not matter to who reads the feed.
    """
    judged = [
        (
            each,
            Blocker.UNREAD
            if not each.blocker and each.kind is RemovalKind.RUN and each.run in unread
            else each.blocker,
        )
        for each in found
    ]
    whole = {
        each.run for each, blocker in judged if each.kind is RemovalKind.RUN and blocker is None
    }
    return [
        (each, blocker)
        for each, blocker in judged
        if each.kind is RemovalKind.RUN or each.run not in whole
    ]
