"""Measure, print one table, write it to bench/results/.

    python -m bench [--only NAME] [--rounds N] [--seconds S] [--events N] [--sizes N,N] ...

Every figure is measured in turns with its baseline, after a warm-up. `--list` names the figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import uvloop
from rich.console import Console
from runstore_storage.embedded.postgres import EmbeddedPostgres

from bench import machine, table
from bench.figure import say
from bench.figures import MEASURES, figure_of
from bench.load import generators
from bench.setting import Options, Setting

RESULTS = Path(__file__).parent / "results"


@asynccontextmanager
async def set_up(options: Options, postgres: EmbeddedPostgres, folder: Path) -> AsyncIterator[Any]:
    async with (
        generators() as load,
        asyncpg.create_pool(postgres.url, min_size=1, max_size=2) as database,
    ):
        process = psutil.Process(postgres.pid)
        yield Setting(options, postgres.url, process, folder, load, database)


async def run(
    wanted: list[str], options: Options, postgres: EmbeddedPostgres, folder: Path
) -> dict[str, Any]:
    """Measure; the results as they are written down."""
    records, failures = [], {}
    async with set_up(options, postgres, folder) as setting:
        described = await machine.description(setting.database, folder)
        for number, name in enumerate(wanted, 1):
            began = time.monotonic()
            say(f"{number}/{len(wanted)} {name}")
            try:
                taken = await MEASURES[name](setting)
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"
                say(f"FAILED {failures[name]}")
                continue
            records += [each.record(figure_of(each.key, options)) for each in taken]
            say(f"took {time.monotonic() - began:.0f} s")
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": described,
        "options": asdict(options),
        "figures": records,
        "failures": failures,
    }


def write(results: dict[str, Any], *, is_whole: bool) -> Path:
    """Keep the results beside earlier ones; those of every figure are also the latest."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    path = RESULTS / f"{results['taken_at'].replace(':', '').removesuffix('+0000')}.json"
    path.write_text(text)
    if is_whole:
        (RESULTS / "latest.json").write_text(text)
    return path


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


def arguments() -> argparse.Namespace:
    default = Options()
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="repeatable")
    parser.add_argument("--list", action="store_true", help="name the figures")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--seconds", type=float, default=default.seconds, help="of a round")
    parser.add_argument("--calls", type=int, default=default.calls, help="of a round of latencies")
    parser.add_argument("--events", type=int, default=default.events, help="of long runs")
    parser.add_argument("--sizes", type=_sizes, default=default.sizes, help="of growing runs")
    parser.add_argument("--data-dir", type=Path, help="where the Postgres is made; else in TMPDIR")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.list:
        print("\n".join(MEASURES))
        return
    wanted = given.only or list(MEASURES)
    if unknown := set(wanted) - set(MEASURES):
        raise SystemExit(f"no such figure: {', '.join(sorted(unknown))}; see --list")
    options = Options(given.rounds, given.seconds, given.events, given.sizes, given.calls)
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="runstore-bench-", dir=given.data_dir)
        )
        postgres = stack.enter_context(EmbeddedPostgres(Path(folder) / "postgres"))
        results = uvloop.run(run(wanted, options, postgres, Path(folder)))
    Console(width=max(Console().width, table.WIDTH)).print(table.of(results["figures"]))
    print(f"written to {write(results, is_whole=not given.only)}")
    if results["failures"]:
        sys.exit("not measured: " + ", ".join(results["failures"]))


if __name__ == "__main__":
    main()
