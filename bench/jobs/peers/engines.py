"""What SQLAlchemy's users give it."""

from __future__ import annotations

from typing import Any

# Otherwise what is more than its default of five would connect anew each time.
POOL: dict[str, Any] = {"pool_size": 32}


def asynchronous(url: str) -> str:
    """The database's URL, over asyncpg."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)
