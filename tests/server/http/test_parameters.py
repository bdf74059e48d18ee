"""Each parameter of a query reaches the field that it is named for, and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from inspect import signature
from typing import Any

import pytest
from google.protobuf.message import Message
from runstore_server.http.parameters.runs import FIELDS as OF_RUNS
from runstore_server.http.parameters.runs import config_filter, run_filter, time_bounds
from runstore_server.http.parameters.statistics import FIELDS as OF_STATISTICS
from runstore_server.http.parameters.statistics import awaited_counts, statistics_filter

TEXT, NUMBER, AT = "x", 3, "2026-01-02T00:00:00Z"
OTHERS = {"label": ("key=value",), "status": ("running",), "wait": 3.0}
# What a parameter cannot be given without.
BESIDE = {"after_seq": {"after_run_id": "run"}, "external_id": {"external_system": "system"}}
READ_ASIDE = {"config", "times"}


def parameters() -> Iterator[Any]:
    for read, path, names in (
        (run_filter, "filter.", OF_RUNS),
        (config_filter, "filter.config.", OF_RUNS),
        (statistics_filter, "filter.", OF_STATISTICS),
        (awaited_counts, "", OF_STATISTICS),
    ):
        for each in signature(read).parameters.values():
            if each.name not in READ_ASIDE:
                usual = {(): (TEXT,), "": TEXT, 0: NUMBER}.get(each.default)
                value = OTHERS.get(each.name, usual)
                yield pytest.param(read, path, names, each.name, value, id=f"{path}{each.name}")


def fields_in(message: Message | None, path: str) -> dict[str, Any]:
    """The fields that are set, by their paths."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields() if message else ():
        if isinstance(value, Message) and field.name != "wait":
            found |= fields_in(value, f"{path}{field.name}.")
        else:
            found[path + field.name] = value
    return found


@pytest.mark.parametrize(("read", "path", "names", "name", "value"), [*parameters()])
async def test_a_parameter_sets_its_field(
    read: Callable[..., Awaitable[Message | None]],
    path: str,
    names: Mapping[str, str],
    name: str,
    value: object,
) -> None:
    beside = BESIDE.get(name, {})
    before = fields_in(await read(**beside), path)

    after = fields_in(await read(**beside, **{name: value}), path)

    (field,) = after.keys() - before.keys()
    assert names.get(field, field) == name.rstrip("_")


@pytest.mark.parametrize("name", signature(time_bounds).parameters)
async def test_a_time_bounds_what_it_is_named_for(name: str) -> None:
    assert (await time_bounds(**{name: AT})).keys() == {f"{name}_time"}
