"""Which statements touch rows of any project; every other one is held to a scope."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import runstore_storage
from runstore_storage.database.statements import Kind
from storage.sql.test_prepared import STATEMENTS

ROOT = Path(runstore_storage.__file__).parent

SYSTEM = {
    # How a connection plans, whether it takes writes, the time.
    *("database.engine._LOOKING_UP", "database.engine._ADDING_UP"),
    *("postgres._TAKES_WRITES", "sql.runs._CLOCK"),
    # How hashes are made.
    *("sql.store_flags._CHAIN_VERSION", "sql.store_flags._SEAL"),
    # Partitions and numbers, which are for all runs.
    *("sql.partitions._EXISTS", "sql.partitions._NEWEST_RUN", "sql.partitions._MAKE"),
    *("sql.partitions._MAY_MAKE", "sql.blobs._TAKE_NUMBERS"),
    # Publishing, and how far the duties have come.
    *("sql.feed._PUBLISH", "sql.feed._LAST_POSITION", "sql.feed._ENDS"),
    *("sql.outbox._LAST_ID", "sql.outbox._HOLDS_UP_TO", "sql.outbox._LAG"),
    *("sql.duties._TAKE", "sql.duties._CREATE", "sql.duties._FENCE", "sql.duties._ADVANCE"),
    *("sql.duties._RELEASE", "sql.duties._RESTART", "sql.duties._POSITION", "sql.duties._LAG"),
    "sql.duties._LIST",
    # The work of the duties: counting, indexing, delivering, and what could not be delivered.
    *("sql.usage_counts._ADD", "sql.usage_counts._FORGET"),
    *("sql.stored_bytes._COUNT", "sql.stored_bytes._TAKE", "sql.stored_bytes._SCAN_POSITION"),
    *("sql.stored_bytes._scan", "sql.stored_bytes._FORGET"),
    *("sql.search_rows._INSERT", "sql.search_rows._FORGET"),
    *("sql.feed._RANGES_OF_PROJECT", "sql.feed._RANGES_OF_ALL", "sql.feed.entries"),
    "sql.blobs._LOCATE_ANY",
    *("sql.dead_letters._INSERT", "sql.dead_letters._PAGE", "sql.dead_letters._REMOVE"),
    # What was decided to go: removing it, and noting that.
    *("sql.removals._STEP", "sql.removals._OPEN", "sql.removals._COUNTED", "sql.removals._LAG"),
    *("sql.removals._NEXT_TABLE", "sql.removals._COUNT_EVENTS", "sql.removals._LOCATIONS"),
    "sql.removals._COUNT_ARCHIVED",
    *("sql.removals._IS_OPEN", "sql.archived_events._COUNT_SWITCHED"),
    # What was decided to be archived: the files, the switch, and removing the rows.
    *("sql.archive_states._UNPLACED", "sql.archive_states._POSITION"),
    *("sql.archive_states._SET_POSITION", "sql.archive_states._READY"),
    *("sql.archive_states._HAS_PASSED", "sql.archive_states._UNCLEARED"),
    *("sql.archive_states._BEGIN_ATTEMPT", "sql.archive_states._SET_ARCHIVED"),
    "sql.archive_states._CANCEL",
    *("sql.archive_states._SET_CLEARED", "sql.archive_states._SET_STATE_OF"),
    *("sql.archived_events._THROUGH", "sql.archived_events._GROWING"),
    "sql.archived_events._ARCHIVE_ROWS",
    *("sql.search_rows._LOCK", "sql.search_rows._HAS_ARCHIVED", "sql.search_rows._FORGET_OTHERS"),
    *("sql.removals._REMOVE", "sql.removals._REMOVE_ARTIFACTS"),
    *("sql.objects._LOCK_ALONE", "sql.objects._REMOVE_UNUSED", "sql.removals._REMOVED_EVENTS"),
    *("sql.removals._OPEN_UP", "sql.removals._CLOSE", "sql.unnamed_objects._NOTE"),
    *("sql.unnamed_objects._PAGE", "sql.unnamed_objects._FORGET"),
    "sql.policies._NEXT_PROJECT",
    *("sql.erasing._READY", "sql.erasing._LOCK_SEARCH", "sql.erasing._ERASE"),
    *("sql.erasing._FINISH", "sql.erasing._UNNAMED", "sql.erasing._ERASED_RUNS"),
    *("sql.erasing._CLOSE", "sql.erasing._FORGET_NAMED", "sql.erasing._PARTITIONS"),
    *("sql.erasing._MAY_CLEAN", "sql.erasing._DEAD_ROWS", "sql.erasing._ARCHIVED"),
    *("sql.erasing._RESTORED", "sql.erasing._FORGET_RESTORED"),
    *("sql.ledger._DELETED", "sql.ledger._ERASED"),
    # Who calls, before it is known what the call may touch; which projects a caller may name.
    *("sql.tokens._FIND", "sql.tokens._NOTE_USE", "sql.tokens._EPOCH", "sql.tokens._NEXT_EPOCH"),
    *("sql.projects._PAGE", "sql.limits._ALL", "sql.stored_bytes._LIMITED"),
}
"""Statements of the system, and functions that put such statements together."""


def made() -> Iterator[str]:
    """Where the store's code calls `system`: the name that it gives the statement, or in what."""
    for file in sorted(ROOT.rglob("*.py")):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for part in ast.parse(file.read_text()).body:
            if module != "database.statements" and any(map(_is_call, ast.walk(part))):
                yield f"{module}.{_name(part)}"


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "system"


def _name(part: ast.stmt) -> str:
    if isinstance(part, ast.Assign):
        return ast.unparse(part.targets[0])
    assert isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef), ast.unparse(part)
    return part.name


def test_the_statements_of_the_system_are_these() -> None:
    found = {name for name, each in STATEMENTS.items() if each.kind is Kind.SYSTEM}

    assert set(made()) == SYSTEM
    assert found <= SYSTEM


def test_the_driver_is_not_given_text_that_is_no_statement() -> None:
    bypassing = {
        str(file.relative_to(ROOT)) for file in ROOT.rglob("*.py") if ".driver." in file.read_text()
    }

    assert bypassing == {"database/connection.py", "database/engine.py"}
