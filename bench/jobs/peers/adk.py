"""Google ADK's DatabaseSessionService: append_event with what a tool answered."""

from __future__ import annotations

import json
from functools import cache, partial
from random import choice
from typing import Any
from uuid import uuid4

from google.adk.events.event import Event
from google.adk.sessions.database_session_service import DatabaseSessionService
from google.adk.sessions.session import Session
from google.genai.types import Content, Part

from bench.jobs.peers.engines import POOL, asynchronous
from bench.jobs.repeating import repeated
from bench.payloads import PAYLOADS

_sessions: dict[int, list[Session]] = {}


@cache
def _service(url: str) -> DatabaseSessionService:
    return DatabaseSessionService(asynchronous(url), **POOL)


async def appends(url: str, writers: int, seconds: float) -> dict[str, Any]:
    service = _service(url)
    if writers not in _sessions:
        _sessions[writers] = [
            await service.create_session(app_name="bench", user_id=str(number))
            for number in range(writers)
        ]

    async def append(session: Session) -> int:
        part = Part.from_function_response(name="search", response=json.loads(choice(PAYLOADS)))
        content = Content(role="user", parts=[part])
        event = Event(invocation_id=str(uuid4()), author="agent", content=content)
        await service.append_event(session, event)
        return 1

    return await repeated([partial(append, session) for session in _sessions[writers]], seconds)
