"""Steps of a duty in turn, of which one that fails does not keep the others from going on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

Step = Callable[[], Awaitable[int | None]]

_log = logging.getLogger(__name__)


async def first_done(steps: Iterable[tuple[str, Step]]) -> int | None:
    """Do the steps up to one that does something: what that returns, 0 if none does.

    One that fails is logged by its name. The first failure is raised if nothing was done.
    """
    failure: Exception | None = None
    for name, step in steps:
        try:
            done = await step()
        except Exception as error:
            _log.warning("%s fails for now", name, exc_info=error)
            failure = failure or error
            continue
        if done != 0:
            return done
    if failure:
        raise failure
    return 0
