"""What payload arguments become."""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from pathlib import Path
from uuid import UUID

import pytest
import runstore
from clients.script import Script
from runstore.values import json_texts


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"b": 1, "a": None}, '{"b":1,"a":null}'),
        ("é", '"é"'),
        ("\ud800", '"\\ud800"'),
        (b"\x00\xff", b"\x00\xff"),
        (runstore.Payload("[1.0 ]"), "[1.0 ]"),
    ],
)
def test_a_payload_argument_becomes_the_expected_text_or_bytes(value, content) -> None:
    assert runstore.payload_of(value).content == content


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_a_value_that_json_cannot_represent_is_refused_before_it_is_sent(value) -> None:
    with pytest.raises((ValueError, TypeError)):
        runstore.payload_of(value)


@dataclass
class Point:
    x: int


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "NaN is not JSON"),
        (float("inf"), "Infinity is not JSON"),
        (-float("inf"), "-Infinity is not JSON"),
        ({1, 2}, "a value of type set is not JSON"),
        (frozenset(), "a value of type frozenset is not JSON"),
        (b"bytes", "a value of type bytes is not JSON"),
        (datetime(2026, 1, 1, tzinfo=UTC), "a value of type datetime is not JSON"),
        (date(2026, 1, 1), "a value of type date is not JSON"),
        (timedelta(1), "a value of type timedelta is not JSON"),
        (Decimal("0.1"), "a value of type Decimal is not JSON"),
        (UUID(int=1), "a value of type UUID is not JSON"),
        (Path("a"), "is not JSON"),
        (Colour.RED, "a value of type Colour is not JSON"),
        (Point(1), "a value of type Point is not JSON"),
        (runstore.Payload("1"), "a value of type Payload is not JSON"),
        (object(), "a value of type object is not JSON"),
        (iter([1]), "a value of type list_iterator is not JSON"),
        ({1: "one"}, "the key 1 is not a string"),
        ({None: "none"}, "the key None is not a string"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_refusal_names_the_path_of_the_value(value, problem) -> None:
    with pytest.raises(runstore.InvalidArgument) as refused:
        runstore.payload_of({"steps": [0, 1, 2, {"score": value}], "rest": "fine"})

    assert refused.value.field == "payload.steps[3].score"
    assert problem in str(refused.value)


def test_a_key_that_is_no_name_is_quoted_in_a_path() -> None:
    with pytest.raises(runstore.InvalidArgument, match=r'^payload\["a b"\]\[0\]: NaN is not JSON$'):
        runstore.payload_of({"a b": [float("nan")]})


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)

    with pytest.raises(runstore.InvalidArgument, match="payload: is nested too deeply"):
        runstore.payload_of(value)


def test_lone_surrogates_are_escaped_in_keys_too() -> None:
    assert runstore.payload_of({"\ud800": "é"}).content == '{"\\ud800":"\\u00e9"}'


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders that the test registers are its own."""

    def refuse(value: object) -> object:
        raise TypeError(f"{type(value).__name__} is not JSON")

    monkeypatch.setattr(json_texts, "_encode", singledispatch(refuse))


@pytest.mark.usefixtures("registry")
def test_registered_encoders_replace_values_wherever_they_are() -> None:
    runstore.register_encoder(datetime, datetime.isoformat)
    runstore.register_encoder(UUID, str)
    runstore.register_encoder(Point, asdict)
    runstore.register_encoder(set, sorted)

    payload = runstore.payload_of(
        {"at": datetime(2026, 1, 1, tzinfo=UTC), "ids": {UUID(int=1)}, "points": (Point(1),)}
    )

    assert payload.value() == {
        "at": "2026-01-01T00:00:00+00:00",
        "ids": [str(UUID(int=1))],
        "points": [{"x": 1}],
    }


@pytest.mark.usefixtures("registry")
def test_what_an_encoder_returns_is_checked_too() -> None:
    runstore.register_encoder(Point, lambda point: {"x": float("nan")})

    with pytest.raises(runstore.InvalidArgument, match=r"^payload\[0\]\.x: NaN is not JSON$"):
        runstore.payload_of([Point(1)])


async def test_every_argument_with_a_payload_names_itself(script: Script) -> None:
    bad = {"x": [float("nan")]}
    async with runstore.connect(script.address) as client:
        run = client.run("r")
        node = runstore.PlanNode("n", state=bad)
        calls = {
            "plan.x[0]": client.save_run(plan=bad),
            "payload.x[0]": run.append("tick", bad),
            "events[1].payload.x[0]": run.append_many(
                [runstore.NewEvent("tick"), runstore.NewEvent("tick", bad)]
            ),
            "state['s'].x[0]": run.snapshot(state={"s": bad}),
            "metadata.x[0]": run.snapshot(metadata=bad),
            "nodes[0].state.x[0]": run.snapshot(nodes=[node]),
            "writes[0].payload.x[0]": run.put_task_writes([runstore.TaskWrite("t", payload=bad)]),
            "statistics.x[0]": run.complete(statistics=bad),
        }
        for field, call in calls.items():
            with pytest.raises(runstore.InvalidArgument) as refused:
                await call
            assert refused.value.field == field
