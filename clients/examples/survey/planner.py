"""The plan: a graph of steps with dependencies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

PACKAGES = (
    "asyncio",
    "email",
    "http",
    "importlib",
    "json",
    "logging",
    "multiprocessing",
    "unittest",
    "xml",
)


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the plan: a kind of work on a package, to be done after other steps."""

    node_id: str
    kind: str
    package: str = ""
    needs: tuple[str, ...] = ()


def first_plan(packages: Sequence[str] = PACKAGES) -> list[Step]:
    """List the packages, analyse each, compare them, then ask a person which to look into."""
    analyses = [
        Step(f"analyse:{package}", "analyse", package, ("inventory",)) for package in packages
    ]
    everything = tuple(step.node_id for step in analyses)
    return [
        Step("inventory", "inventory"),
        *analyses,
        Step("compare", "compare", needs=everything),
        Step("ask", "ask", needs=("compare",)),
    ]


def replan(plan: Sequence[Step], package: str) -> list[Step]:
    """The plan after the person has chosen a package."""
    return [*plan, Step(f"look_into:{package}", "look_into", package, ("ask",))]


def ready(plan: Sequence[Step], finished: Collection[str]) -> Step | None:
    """The first unfinished step whose needs are met; None if there is none."""
    for step in plan:
        if step.node_id not in finished and all(need in finished for need in step.needs):
            return step
    return None
