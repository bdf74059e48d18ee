"""What one saver remembers, shared by its synchronous and its asynchronous half."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from langgraph.checkpoint.base import ChannelVersions

from runstore.langgraph.bounded import Bounded
from runstore.langgraph.checkpoints import KnownPart, Version
from runstore.langgraph.efforts import Efforts
from runstore.langgraph.sessions import MAX_SESSIONS, Sessions
from runstore.langgraph.turns import Turns

MAX_KNOWN_PARTS = 50_000

_Key = tuple[str, str, str, Version]


class KnownParts:
    """Parts that threads have stored, which need not be sent again; any may be forgotten."""

    def __init__(self, most: int = MAX_KNOWN_PARTS) -> None:
        self._guard = threading.Lock()
        self._parts: Bounded[_Key, KnownPart] = Bounded(most)

    def of(self, thread_id: str, namespace: str, versions: ChannelVersions) -> dict[str, KnownPart]:
        """The known parts of channels at their versions."""
        with self._guard:
            found = {
                channel: self._parts.get((thread_id, namespace, channel, version))
                for channel, version in versions.items()
            }
        return {channel: part for channel, part in found.items() if part}

    def learn(
        self, thread_id: str, namespace: str, parts: Mapping[tuple[str, Version], KnownPart]
    ) -> None:
        """Remember parts by channel and version."""
        with self._guard:
            for (channel, version), part in parts.items():
                self._parts.put((thread_id, namespace, channel, version), part)


class Memory:
    def __init__(self, most_sessions: int = MAX_SESSIONS) -> None:
        self.sessions = Sessions(most_sessions)
        self.turns = Turns()
        self.parts = KnownParts()
        self.efforts = Efforts(most_sessions)
