"""What every test may ask for: the URL of a real Postgres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from database import provided_database

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    with provided_database() as url:
        yield url
