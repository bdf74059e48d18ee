"""Change the code in many small ways, one at a time, and see whether a test notices.

`make mutants MUTANTS="--module chain --sample 100"`. The code is changed in a copy of this folder,
never here.
"""

from __future__ import annotations

import argparse
import math
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.database import provided_database
from tests.mutants.mutants import (
    Mutant,
    Place,
    Target,
    are_equivalent,
    mutant_at,
    places_in,
    targets,
)
from tests.mutants.trials import Outcome, Trials

ROOT = Path(__file__).parents[2]


def main() -> int:
    wanted = options()
    known = targets()
    chosen = [known[name] for name in wanted.module or known]
    places = [place for target in chosen for place in places_in(ROOT, target)]
    tried = sampled(places, wanted)
    print(f"{len(places)} places, {len(tried)} mutants tried (seed {wanted.seed})", flush=True)
    outcomes: dict[Mutant, Outcome] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and stop the database on the way
    ends_at = time.monotonic() + wanted.minutes * 60
    with tempfile.TemporaryDirectory() as folder, provided_database() as url:
        trials = Trials(ROOT, Path(folder), url)
        for target in chosen:
            of_target = [mutant for mutant in tried if mutant.place.target is target]
            if not of_target or time.monotonic() > ends_at or not trials.tests_pass(target):
                continue
            for mutant in of_target:
                if time.monotonic() > ends_at:
                    break
                outcomes[mutant] = trials.outcome(mutant)
                print(f"{outcomes[mutant].value:10} {mutant.place}", flush=True)
    print(report(chosen, places, outcomes))
    return 0


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--module", action="append", choices=sorted(targets()))
    parser.add_argument("--sample", type=int, help="try this many, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no trial after that")
    parser.add_argument("--only", action="append", help="try those whose name contains this")
    return parser.parse_args()


def sampled(places: Sequence[Place], wanted: argparse.Namespace) -> Sequence[Mutant]:
    """The mutants to try, in their order; those known to be equivalent are not tried."""
    able = [each for each in places if not wanted.only or any(o in str(each) for o in wanted.only)]
    order = list(range(len(able)))
    if wanted.sample is not None:
        random.Random(wanted.seed).shuffle(order)
    found = dict[int, Mutant]()
    for index in order:
        if len(found) == wanted.sample:
            break
        mutant = mutant_at(ROOT, able[index])
        if mutant and not are_equivalent(mutant):
            found[index] = mutant
    return [found[index] for index in sorted(found)]


def report(
    chosen: Sequence[Target], places: Sequence[Place], outcomes: dict[Mutant, Outcome]
) -> str:
    """A line for each target, then the mutants that no test noticed."""
    lines = [f"\n{'module':16} {'places':>7} {'tried':>6} {'noticed':>8} {'score':>6}"]
    for target in chosen:
        found = [outcome for mutant, outcome in outcomes.items() if mutant.place.target is target]
        if found:
            noticed = sum(outcome is not Outcome.SURVIVED for outcome in found)
            total = sum(place.target is target for place in places)
            score = noticed / len(found)
            lines.append(f"{target.name:16} {total:7} {len(found):6} {noticed:8} {score:6.0%}")
    lines += [
        f"\n{mutant.place}\n  - {mutant.before}\n  + {mutant.after}"
        for mutant, outcome in outcomes.items()
        if outcome is Outcome.SURVIVED
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
