"""The judge of the conformance suite notices what is wrong."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

FOLDER = Path(__file__).parents[2] / "clients" / "conformance"
sys.path.insert(0, str(FOLDER))

from checking import cases, normalised, problems  # noqa: E402 - found by the path above

HASH, OTHER = "ab" * 32, "cd" * 32


def judged(expect, result, **known) -> list[str]:
    scenario = {"steps": [{"do": "get_run", "expect": expect}]}
    return problems(scenario, [{"result": result}], known)


def test_the_scenarios_have_the_form_they_must_have() -> None:
    file = json.loads((FOLDER / "scenarios.json").read_text())

    jsonschema.validate(file, json.loads((FOLDER / "scenarios.schema.json").read_text()))

    assert len(cases(file)) >= 40


@pytest.mark.parametrize(
    ("expect", "result"),
    [
        (1, 1),
        ({"a": {"match": "absent"}}, {}),
        ({"match": "hex64"}, HASH),
        ({"match": "number"}, 0),
        ({"match": "time"}, "2026-01-02T03:04:05.000006Z"),
        ({"sameAs": "$payload"}, {"json": "1.0"}),
        (
            {"counts": "event.seq", "from": 1, "to": 2},
            [{"event": {"seq": 1}}, {"event": {"seq": 2}}],
        ),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}], "d": 3}),
    ],
)
def test_what_is_right_is_right(expect, result) -> None:
    assert judged(expect, result, payload={"json": "1.0"}) == []


@pytest.mark.parametrize(
    ("expect", "result"),
    [
        (1, True),
        (1, "1"),
        ({"a": 1}, {}),
        ({"a": {"match": "absent"}}, {"a": 0}),
        ({"match": "any"}, None),
        ({"match": "hex64"}, "ab"),
        ({"match": "number"}, True),
        ({"match": "uuid"}, "run"),
        ({"sameAs": "$payload"}, {"json": "1"}),
        ({"sameAs": "$payload"}, {"json": "1.0", "content_type": "text/plain"}),
        ({"sameAs": "$nothing.here"}, "x"),
        ({"counts": "seq", "from": 1, "to": 3}, [{"seq": 1}, {"seq": 3}]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 1}]}),
        ({"a": [1]}, {"a": None}),
    ],
)
def test_what_is_wrong_is_told(expect, result) -> None:
    assert judged(expect, result, payload={"json": "1.0"}) != []


def test_an_error_is_not_a_result_nor_the_other_way_round() -> None:
    told = {"type": "Internal", "code": "INTERNAL", "reason": "INTERNAL"}
    wants_error = {"steps": [{"do": "get_run", "error": told}]}
    wants_result = {"steps": [{"do": "get_run"}]}

    assert problems(wants_error, [{"error": told}], {}) == []
    assert problems(wants_error, [{"result": {}}], {}) != []
    assert problems(wants_error, [{"error": told | {"type": "Unavailable"}}], {}) != []
    assert problems(wants_result, [{"error": told}], {}) != []
    assert problems(wants_result, [{"failed": "TypeError"}], {}) != []
    assert problems(wants_result, [], {}) != []


def test_a_field_that_is_not_named_is_told() -> None:
    told = {"type": "InvalidRequest", "code": "INVALID_ARGUMENT", "reason": "INVALID_REQUEST"}
    scenario = {"steps": [{"do": "get_run", "error": told | {"fields": ["run_id"]}}]}
    two = [{"field": "run_id", "description": "x"}, {"field": "project", "description": "x"}]

    assert problems(scenario, [{"error": told | {"violations": two[:1]}}], {}) == []
    assert problems(scenario, [{"error": told | {"violations": two}}], {}) != []


def test_what_was_the_same_has_the_same_name() -> None:
    def steps(*hashes: str) -> list:
        return [{"result": {"hash": each, "project": "p/0"}} for each in hashes]

    same = normalised(steps(HASH, HASH), "p/0")

    assert same == normalised(steps(OTHER, OTHER), "p/0")
    assert same != normalised(steps(HASH, OTHER), "p/0")
    assert same[0]["result"]["project"] == "<project>"
