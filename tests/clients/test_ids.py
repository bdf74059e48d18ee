"""Ids that the client makes."""

from uuid import RFC_4122, UUID

import pytest
from runstore import ids


def test_ids_are_uuids_that_sort_by_age(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for nanoseconds in (1, 10**18, 10**18 + 10**6, 2 * 10**18):
        monkeypatch.setattr(ids.time, "time_ns", lambda at=nanoseconds: at)
        made.append(ids.new_id())

    assert made == sorted(made)
    assert {(UUID(each).version, UUID(each).variant) for each in made} == {(7, RFC_4122)}
