"""runstore ledger: what was erased and deleted, done again on what was restored from a backup."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from runstore_storage.contract.access import Principal, PrincipalKind
from runstore_storage.contract.erasures import Seqs
from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.ledger import Applied, LedgerEntry
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.postgres import PostgresStore

from runstore_server.cli.database import run_with_store
from runstore_server.cli.environment import settings_of
from runstore_server.cli.failures import failed
from runstore_server.cli.printing import progress_bar
from runstore_server.json.writing import JsonObject

app = typer.Typer(
    help="Write down what was erased and deleted, and do it again on a restored copy.\n\n"
    "Both work on the database of RUNSTORE_DATABASE_URL. The ledger names runs and seqs, and"
    " nothing of what was removed: keep it apart from the backups.\n\n"
    "  runstore ledger write /safe/ledger.jsonl\n\n"
    "  runstore ledger apply /safe/ledger.jsonl",
    no_args_is_help=True,
)

POLL_SECONDS = 1.0

File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@app.command()
def write(file: File) -> None:
    """Write the ledger of all projects, in place of the file; all of it or nothing."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("w", encoding="utf-8") as into:
            count = run_with_store(settings_of(), lambda store: _write(store, into.write))
            into.flush()
            os.fsync(into.fileno())
        part.replace(file)
    except OSError as error:
        raise failed(f"the ledger is not written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    typer.echo(f"{count} runs")


@app.command()
def apply(
    file: File,
    wait: Annotated[bool, typer.Option(help="Wait until it is done.")] = True,
) -> None:
    """Erase and delete again what the ledger says, where that is not so.

    `runstore relay` has to run beside it, which does what this asks for. Serve
    nobody before it ends with 0; it can be repeated, and changes nothing then.
    """
    try:
        entries = list(_entries(file.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise failed(f"the ledger cannot be read: {error}") from error
    found = run_with_store(settings_of(), lambda store: _apply(store, entries, wait=wait))
    typer.echo(", ".join(f"{found[each]} {each.value}" for each in Applied))
    if found[Applied.REFUSED]:
        raise failed("what is refused is open, held, or to be deleted and has forks")
    if found[Applied.ASKED]:
        raise failed("not all of it is done yet")


async def _write(store: PostgresStore, to: Callable[[str], object]) -> int:
    count = 0
    async for entry in store.ledger.entries():
        to(json.dumps(_value(entry)) + "\n")
        count += 1
    return count


async def _apply(
    store: PostgresStore, entries: Sequence[LedgerEntry], *, wait: bool
) -> Counter[Applied]:
    by = Principal(PrincipalKind.DATABASE, os.environ.get("USER", ""))
    became: dict[LedgerEntry, Applied] = dict.fromkeys(entries, Applied.ASKED)
    with progress_bar("applying") as on_progress:
        while True:
            for each in [each for each, applied in became.items() if applied is Applied.ASKED]:
                became[each] = await _applied(store, each, by)
            found = Counter(became.values())
            on_progress(found[Applied.DONE], len(became))
            if not wait or not found[Applied.ASKED]:
                break
            await asyncio.sleep(POLL_SECONDS)
    for each in (each for each, applied in became.items() if applied is Applied.REFUSED):
        typer.echo(f"refused: {each.key.run_id} of {each.key.project}", err=True)
    return found


async def _applied(store: PostgresStore, entry: LedgerEntry, by: Principal) -> Applied:
    with bound(Scope(entry.key.project)):
        return await store.ledger.apply(entry, by)


def _value(entry: LedgerEntry) -> JsonObject:
    what: JsonObject = {"erased": entry.erased} if entry.erased else {"deleted": True}
    return {
        "project": entry.key.project,
        "run_id": entry.key.run_id,
        "birth": entry.birth.hex(),
        **what,
    }


def _entries(lines: Iterable[str]) -> Iterator[LedgerEntry]:
    for number, line in enumerate(lines, 1):
        try:
            yield _entry(json.loads(line))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise failed(f"line {number} is not of a ledger") from error


def _entry(value: Any) -> LedgerEntry:
    is_deleted = value.get("deleted", False)
    erased = (
        () if is_deleted else tuple(Seqs(int(first), int(last)) for first, last in value["erased"])
    )
    if not is_deleted and not erased:
        raise ValueError("nothing is erased")
    key = RunKey(str(value["project"]), str(value["run_id"]))
    return LedgerEntry(key, bytes.fromhex(value["birth"]), erased)
