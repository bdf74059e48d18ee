"""One run inside its write transaction, decided in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from prepared import prepared
from runstore_storage.contract.errors import SeqConflict
from runstore_storage.contract.events import Event, Usage
from runstore_storage.contract.heads import NO_GUARD, Guard, Outcome, RunKey, RunStatus
from runstore_storage.contract.scope import own
from runstore_storage.run_write import RunWrite
from runstore_storage.sql.heads import Head

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RUN = own(RunKey("project", "run"))
BEFORE = Head(1, 3, b"x" * 32, RunStatus.RUNNING, Outcome.UNSPECIFIED, 1, Usage(5), NOW, None)


def test_recorded_events_and_their_usage_are_in_the_head_of_the_write() -> None:
    write = RunWrite(RUN, BEFORE, NOW)

    appended = write.append(prepared([Event("a"), Event("b", usage=Usage(2))]), NO_GUARD, {})

    assert [each.seq for each in appended] == [4, 5]
    assert (write.head.last_seq, write.head.last_hash) == (5, appended[-1].hash)
    assert write.head.usage == Usage(7)


def test_a_write_that_is_given_up_leaves_the_head_it_began_with() -> None:
    head = BEFORE._replace()
    write = RunWrite(RUN, head, NOW)

    write.append(prepared([Event("a")]), NO_GUARD, {})
    write.claim()
    write.end(Outcome.FAILED)
    with pytest.raises(SeqConflict):
        RunWrite(RUN, head, NOW).check(Guard(expected_seq=4))

    assert head == BEFORE
