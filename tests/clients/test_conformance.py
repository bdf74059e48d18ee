"""The judge of the conformance suite notices what is wrong."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from e2e.documents import blocks
from google.protobuf.message import Message
from runstore.v1 import events_pb2, feed_pb2, run_service_pb2, search_pb2, statistics_pb2

FOLDER = Path(__file__).parents[2] / "clients" / "conformance"
sys.path.insert(0, str(FOLDER))

from checking import cases, normalised, problems  # noqa: E402 - found by the path above

HASH, OTHER = "ab" * 32, "cd" * 32


def fields(message: type[Message]) -> list[str]:
    return [each.name for each in message.DESCRIPTOR.fields]


# What each operation lists, and by which filters.
LISTINGS = {
    "list_runs": ("runs", fields(run_service_pb2.RunFilter)),
    "list_events": ("events", fields(events_pb2.EventFilter)),
    "stream": ("items", fields(events_pb2.EventFilter)),
    "feed_read": ("entries", fields(feed_pb2.FeedFilter)),
    "feed_follow": ("entries", fields(feed_pb2.FeedFilter)),
    "search": ("hits", fields(search_pb2.SearchFilter)),
    "statistics": ("rows", fields(statistics_pb2.StatisticsFilter)),
    "list_snapshots": ("snapshots", ["run_id", "namespace", "metadata", "before", "id_below"]),
    "removal_list": ("removals", ["run_id"]),
    "artifact_list": ("artifacts", ["run_id", "type", "name"]),
    "config_list": ("configs", ["kind", "name_prefix"]),
    "config_label_moves": ("moves", ["label"]),
}


def judged(expect, result, **known) -> list[str]:
    scenario = {"steps": [{"do": "get_run", "expect": expect}]}
    return problems(scenario, [{"result": result}], known)


@pytest.mark.parametrize("name", ["scenarios", "lost_answers", "body_limit"])
def test_the_scenarios_have_the_form_they_must_have(name) -> None:
    file = json.loads((FOLDER / f"{name}.json").read_text())

    jsonschema.validate(file, json.loads((FOLDER / "scenarios.schema.json").read_text()))

    assert cases(file)


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


def test_how_far_a_removal_has_come_is_not_compared() -> None:
    begun: dict = {"removal_id": "r", "birth": HASH, "state": "REMOVING", "removed_events": 0}
    done = begun | {"state": "DONE", "removed_events": 2, "done_at": "2026-01-02T03:04:05.000006Z"}
    another = done | {"last_seq": 3}

    def of(removal: dict) -> list:
        return normalised([{"result": {"removals": [removal]}}], "p/0")

    assert of(begun) == of(done) != of(another)


def test_how_many_bytes_go_and_whether_policies_are_applied_is_not_compared() -> None:
    none: dict = {"kind": "RUN", "runs": 1, "sample_run_ids": ["run"]}
    sums: list[dict] = [none | {"bytes": 481}, none | {"bytes": 497}, none | {"runs": 2}]

    def of(found: dict, **rest: object) -> list:
        return normalised([{"result": {"sums": [found], "looked_at_runs": 1, **rest}}], "p/0")

    assert of(sums[0]) == of(sums[1]) == of(none, warnings=["none does it"]) != of(sums[2])


def shown(language: str) -> str:
    (found,) = (text for each, text in blocks(FOLDER / "README.md") if each == language)
    return found


def test_the_scenario_that_is_shown_is_one_of_the_file() -> None:
    file = json.loads((FOLDER / "scenarios.json").read_text())
    (scenario,) = [
        each for each in file["scenarios"] if each["name"] == json.loads(shown("json"))["name"]
    ]

    steps = json.loads(shown("json"))["steps"]

    jsonschema.validate(
        {"payloads": {}, "scenarios": [json.loads(shown("json"))]},
        json.loads((FOLDER / "scenarios.schema.json").read_text()),
    )
    assert [each["do"] for each in steps] == [each["do"] for each in scenario["steps"]][
        : len(steps)
    ]


def test_the_commands_that_are_shown_are_there() -> None:
    makefile = (FOLDER.parents[1] / "Makefile").read_text()
    for line in shown("sh").splitlines():
        program, *arguments = shlex.split(line, comments=True)
        if program == "make":
            assert f"\n{arguments[0]}:" in makefile
            continue
        options = [each for each in arguments if each.startswith("--")]
        asked = subprocess.run(
            [sys.executable, FOLDER.parents[1] / arguments[0], "--help"],
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )

        assert all(each in asked.stdout for each in options), line


def test_every_step_is_described_and_executed() -> None:
    schema = json.loads((FOLDER / "scenarios.schema.json").read_text())
    known = schema["$defs"]["step"]["properties"]["do"]["enum"]
    rows = re.findall(r"^\| (\w+(?:, \w+)*) \|", (FOLDER / "README.md").read_text(), re.MULTILINE)
    described = {name for row in rows for name in row.split(", ")} - {"do", "part", "expected"}
    file = json.loads((FOLDER / "scenarios.json").read_text())
    executed = {step["do"] for each in file["scenarios"] for step in each["steps"]}

    assert described == set(known)
    assert executed == set(known)


def expected_sizes(scenario, operation) -> dict[frozenset, int]:
    """How much each set of filters is to find: items, or the events that statistics count."""
    name, filters = LISTINGS[operation]
    sizes: dict[frozenset, int] = {}
    for step in scenario["steps"]:
        if step["do"] == operation and "expect" in step:
            items = step["expect"].get(name, [])
            size = sum(each.get("events", 1) for each in items if isinstance(each, dict))
            arguments = step.get("args", {}).items()
            used = frozenset((key, json.dumps(value)) for key, value in arguments if key in filters)
            sizes[used] = max(size, sizes.get(used, 0))
    return sizes


@pytest.mark.parametrize(
    ("operation", "field"), [(each, field) for each in LISTINGS for field in LISTINGS[each][1]]
)
def test_a_client_that_forgets_a_filter_is_found_out(operation, field) -> None:
    file = json.loads((FOLDER / "scenarios.json").read_text())
    found = []
    for scenario in file["scenarios"]:
        sizes = expected_sizes(scenario, operation)
        for filters, size in sizes.items():
            others = frozenset(each for each in filters if each[0] != field)
            if others != filters and others in sizes:
                found.append((size, sizes[others]))

    selects_a_part = any(0 < size < whole for size, whole in found)
    selects_all = any(0 < size == whole for size, whole in found)
    selects_nothing = any(0 == size < whole for size, whole in found)
    assert selects_a_part or (selects_all and selects_nothing), found
