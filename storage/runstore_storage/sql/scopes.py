"""How statements that are given the number of a run or config know that it is the scope's.

A subselect that depends on no row is executed once, before the rows are read.
"""

from __future__ import annotations

ASKED_FOR = "(r.project = :scope) IS TRUE"
"""The condition that the run `r`, which is found by its key, is the scope's.

It is put so that no index could serve it: the planner would weigh those of the project too, and
compare the key's project with the scope in a step of its own.
"""

IS_THERE = "EXISTS (SELECT FROM run_heads there WHERE there.run = r.run)"
"""The condition that the run of the row `r` was not deleted, where no head of it is read."""

MOVED = "(h.project = new.scope) IS TRUE"
"""Likewise that the head `h`, found by the number of its run, is that of its row's scope."""

RUN = "(SELECT run FROM runs WHERE run = :run AND project = :scope)"
"""The number of the run, NULL of another project's, which no row can be inserted with."""
HAS_RUN = f"EXISTS {RUN}"

HAS_EVENTS = """EXISTS (
    SELECT FROM run_heads
    WHERE run = :run AND (project = :scope) IS TRUE AND archived_through < :from_seq
)"""
"""The condition that the run is the scope's, and that no events from `:from_seq` on are archived.

As it is seen together with the events, none of them is missing where it holds.
"""

CONFIG = "(SELECT config FROM configs WHERE config = :config AND project = :scope)"
"""The number of the config, NULL of another project's, likewise."""
HAS_CONFIG = f"EXISTS {CONFIG}"


def is_own(run: str) -> str:
    """The condition that a row's run, whose number the SQL `run` is, is the scope's."""
    return f"EXISTS (SELECT FROM runs own WHERE own.run = {run} AND own.project = :scope)"
