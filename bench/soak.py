"""Mixed work at half load, and whether anything grows that should not.

    python -m bench.soak [--minutes 30] [--every 10] [--load 0.5] [--plot docs/soak.png]

What the machine carries is found first; half of that is kept up. The server is the real one in a
process of its own; the load comes from processes of their own. Writes bench/results/soak.json and a
picture, and exits with 1 where the verdict is that something grew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table
from runstore_storage.embedded.postgres import EmbeddedPostgres

from bench import machine, plot, verdict
from bench.__main__ import RESULTS, set_up
from bench.figure import say
from bench.load import Answer
from bench.sampling import Sampler
from bench.setting import Options, Setting

IN_FLIGHT = 16
CALIBRATION_SECONDS = 10.0
CALIBRATIONS = 3
DOCS = machine.ROOT / "docs"


async def soak(
    setting: Setting, minutes: float, every: float, load: float
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The load that was kept up, and the samples."""
    await setting.database.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    async with setting.server() as server:
        most = await _most(setting, server.address)
        rate = most * load / len(setting.generators.processes)
        say(f"at most {most:.0f} pieces of work a second; {load:.0%} of it for {minutes:g} min")
        sampler = Sampler(setting.database, server, time.monotonic())
        samples = []
        while time.monotonic() - sampler.began < minutes * 60:
            answers = await setting.generators.each(
                "mixed:paced",
                setting.split(address=server.address, per_second=rate, seconds=every),
            )
            samples.append(await sampler.sample(_together(answers)))
            _report(samples[-1])
        await setting.generators.each("mixed:stop", [{}] * len(setting.generators.processes))
        await setting.settled()
    return {"most_per_second": most, "per_second": most * load}, samples


async def _most(setting: Setting, address: str) -> float:
    """Pieces of work a second when as many as possible are asked for; the first round warms up."""
    rates = []
    for _ in range(CALIBRATIONS):
        asked = setting.split(address=address, in_flight=IN_FLIGHT, seconds=CALIBRATION_SECONDS)
        rates.append(await setting.generators.rate("mixed:saturate", asked))
        await setting.settled()
    return min(rates[1:])


def _together(answers: list[Answer]) -> dict[str, Any]:
    times = [each for answer in answers for each in answer["times"]]
    cuts = quantiles(times, n=100)
    done: Counter[str] = Counter()
    for answer in answers:
        done.update(answer["done"])
    streams = sum(answer["streams"] for answer in answers)
    return {"p50": cuts[49], "p99": cuts[98], "done": dict(done), "streams": streams}


def _report(sample: dict[str, Any]) -> None:
    say(
        f"{sample['seconds'] / 60:5.1f} min  {sample['server_megabytes']:.0f} MB"
        f"  p50 {sample['append_p50_ms']:.1f} ms  p99 {sample['append_p99_ms']:.1f} ms"
        f"  {sample['events']:,} events  lag {sample['feed_lag_events']}"
    )


def show(judgements: list[dict[str, Any]]) -> None:
    table = Table("what", "first third", "last third", "slope an hour", "allowed", "", box=None)
    for each in judgements:
        table.add_row(
            each["name"],
            f"{each['first']:,.1f} {each['unit']}",
            f"{each['last']:,.1f}",
            f"{each['slope_per_hour']:+,.1f}",
            f"≤ {each['allowed']:,.1f}",
            "ok" if each["is_met"] else "GREW",
        )
    Console(width=max(Console().width, 100)).print(table)


async def run(given: argparse.Namespace, postgres: EmbeddedPostgres, folder: Path) -> bool:
    async with set_up(Options(), postgres, folder) as setting:
        described = await machine.description(setting.database, folder)
        load, samples = await soak(setting, given.minutes, given.every, given.load)
    judgements = verdict.judged(samples)
    misdelivered = sum(each["done"].get("misdelivered", 0) for each in samples)
    is_met = not misdelivered and all(each["is_met"] for each in judgements)
    results = {
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": described,
        "options": {"minutes": given.minutes, "every": given.every, "load": given.load},
        "load": load,
        "misdelivered": misdelivered,
        "verdict": judgements,
        "is_met": is_met,
        "samples": samples,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "soak.json").write_text(json.dumps(results, indent=1) + "\n")
    title = f"{given.minutes:g} minutes at {load['per_second']:.0f} pieces of work a second"
    plot.draw(samples, title, given.plot)
    show(judgements)
    print(f"misdelivered events: {misdelivered}; picture in {given.plot}")
    return is_met


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=10, help="seconds between samples")
    parser.add_argument("--load", type=float, default=0.5, help="part of the most there is")
    parser.add_argument("--plot", type=Path, default=DOCS / "soak.png")
    parser.add_argument("--data-dir", type=Path, help="where the Postgres is made; else in TMPDIR")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="runstore-soak-", dir=given.data_dir)
        )
        postgres = stack.enter_context(EmbeddedPostgres(Path(folder) / "postgres"))
        is_met = uvloop.run(run(given, postgres, Path(folder)))
    if not is_met:
        sys.exit("something grew, or was delivered wrongly")


if __name__ == "__main__":
    main()
