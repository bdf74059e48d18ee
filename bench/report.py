"""Fill docs/performance.md from results, so that the document says what was measured.

    python -m bench.report [RESULTS ...]   fill it; else from latest.json and soak.json
    python -m bench.report --keep RESULTS  the same; figures that are not in them stay as they are
    python -m bench.report --check         exit with 1 where it is not what its results say

Several results are laid over each other, the later ones on top; all must be of one machine. What
the document was made from is kept beside it, in docs/performance.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.__main__ import RESULTS
from bench.figures import FIGURES
from bench.machine import ROOT
from bench.table import HEADS, cells

DOCUMENT = ROOT / "docs" / "performance.md"
KEPT = DOCUMENT.with_suffix(".json")
SECONDS_A_DAY = 86_400
# What makes two machines the same one.
IDENTITY = ("cpu", "cores", "memory_bytes", "file_system", "postgres")
LEFT_OUT = {"rounds", "baseline_rounds", "samples"}

Results = dict[str, Any]


def merged(paths: Sequence[Path], before: Results | None = None) -> Results:
    """Results without single rounds and samples, laid over those `before`."""
    kept: Results = before or {"figures": {}, "soak": None}
    for path in paths:
        results = json.loads(path.read_text())
        identity = {name: results["machine"][name] for name in IDENTITY}
        if kept.setdefault("identity", identity) != identity:
            raise SystemExit(f"{path} was measured on another machine than the results before it")
        kept["machine"] = results["machine"]
        if "verdict" in results:
            kept["soak"] = {name: results[name] for name in results if name not in LEFT_OUT}
            continue
        if results["failures"]:
            raise SystemExit(f"{path} is not whole: {results['failures']}")
        kept["options"] = results["options"]
        source = {"taken_at": results["taken_at"], "commit": results["machine"]["commit"]}
        for each in results["figures"]:
            kept["figures"][each["key"]] = source | {
                name: value for name, value in each.items() if name not in LEFT_OUT
            }
    return kept


def _rows(heads: Sequence[str], lines: list[tuple[str, ...]]) -> str:
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in (heads, ("---",) * len(heads), *lines)
    )


def _table(kept: Results) -> str:
    order = [*FIGURES, *kept["figures"]]
    figures = sorted(kept["figures"].values(), key=lambda each: order.index(each["key"]))
    return _rows(HEADS, [cells(each) for each in figures])


def _machine(kept: Results) -> str:
    machine, options = kept["machine"], kept["options"]
    postgres = ", ".join(f"`{name} = {value}`" for name, value in machine["postgres"].items())
    return "\n".join(
        [
            *_sources(kept),
            f"- {machine['cores']} cores ({machine['cpu']}),"
            f" {machine['memory_bytes'] / (1 << 30):.0f} GiB, {machine['file_system']};"
            f" {machine['system']}; Python {machine['python']}.",
            f"- Postgres on the same machine: {postgres}.",
            f"- {options['rounds']} rounds of {options['seconds']:g} s or {options['calls']} calls;"
            f" long runs have {options['events']:,} events.",
        ]
    )


def _sources(kept: Results) -> Iterator[str]:
    """When and at which commit: most figures first, then those that were measured by themselves."""
    sources: dict[tuple[str, str], list[str]] = {}
    for each in kept["figures"].values():
        sources.setdefault((each["taken_at"], each["commit"]), []).append(each["figure"])
    most = max(sources, key=lambda source: len(sources[source]))
    yield f"- Measured {most[0]} at commit `{most[1]}`."
    for source, figures in sources.items():
        if source != most:
            yield f"- Measured {source[0]} at commit `{source[1]}`: {', '.join(figures)}."


def _carried(kept: Results) -> str:
    """What the rates and the bytes come to in a day."""
    lines = []
    for key in ("append", "append-relay", "append-stream", "append-batch"):
        if each := kept["figures"].get(key):
            day = each["value"] * SECONDS_A_DAY / 1e6
            lines.append((each["figure"], f"{each['value']:,.0f} events/s", f"{day:,.0f} million"))
    carried = _rows(("written by", "at most", "a day"), lines)
    kept_bytes = []
    for key in ("disk-append", "disk-append-search", "disk-batch", "disk-batch-search", "cost-wal"):
        if each := kept["figures"].get(key):
            size = each["value"] / 1e3
            kept_bytes.append((each["figure"], f"{each['value']:,.0f}", f"{size:,.2f} GB"))
    return carried + "\n\n" + _rows(("bytes", "each", "a million"), kept_bytes)


def _soak(kept: Results) -> str:
    soak = kept["soak"]
    if soak is None:
        return "These results hold no soak."
    load, options = soak["load"], soak["options"]
    lines = [
        (
            each["name"],
            f"{each['first']:,.1f} {each['unit']}",
            f"{each['last']:,.1f}",
            f"{each['slope_per_hour']:+,.1f}",
            f"≤ {each['allowed']:,.1f}",
            "yes" if each["is_met"] else "NO",
        )
        for each in soak["verdict"]
    ]
    said = (
        f"{options['minutes']:g} minutes at {load['per_second']:,.0f} pieces of work a second,"
        f" {options['load']:.0%} of the {load['most_per_second']:,.0f} that were possible; measured"
        f" {soak['taken_at']} at commit `{soak['machine']['commit']}`. Events delivered twice, out"
        f" of order or not at all: {soak['misdelivered']}."
    )
    heads = ("what", "first third", "last third", "slope an hour", "allowed", "met")
    return "\n\n".join([said, _rows(heads, lines), "![The soak over time](soak.png)"])


BLOCKS: dict[str, Callable[[Results], str]] = {
    "machine": _machine,
    "table": _table,
    "carried": _carried,
    "soak": _soak,
}


def filled(document: str, kept: Results) -> str:
    """The document with what stands between its markers made anew."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{begin}.*?{end}", re.DOTALL)
        text = f"{begin}\n\n{block(kept)}\n\n{end}"
        document, count = pattern.subn(lambda _, text=text: text, document)
        if count != 1:
            raise SystemExit(f"{DOCUMENT} has {count} places for {name}")
    return document


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", nargs="*", type=Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    document = DOCUMENT.read_text()
    if given.check:
        if filled(document, json.loads(KEPT.read_text())) != document:
            sys.exit(f"{DOCUMENT} is not what {KEPT} says: run python -m bench.report")
        return
    default = [path for name in ("latest", "soak") if (path := RESULTS / f"{name}.json").exists()]
    before = json.loads(KEPT.read_text()) if given.keep else None
    kept = merged(given.results or default, before)
    if not kept["figures"]:
        raise SystemExit("there are no results: run make bench")
    DOCUMENT.write_text(filled(document, kept))
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
