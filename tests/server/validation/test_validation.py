"""What validation finds, and how it says so."""

import gc
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore.v1 import run_service_pb2 as rpc
from runstore.v1.events_pb2 import Event
from runstore.v1.payloads_pb2 import Payload
from runstore_server.edge.errors import InvalidRequest, status_of
from runstore_server.validation.json_texts import MAX_JSON_DEPTH, _problem, json_problem
from runstore_server.validation.requests import validate
from runstore_server.validation.rules import MAX_VIOLATIONS

TOO_DEEP = f"nests deeper than {MAX_JSON_DEPTH} levels"


def violations(request: object) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        validate(request)
    return [each.field for each in caught.value.violations]


JSON_PIECES = st.sampled_from(
    [
        *("{", "}", "[", "]", ",", ":", '"a"', '"', "\\", "/*", "true", "null", "NaN", "Infinity"),
        *("1", "-0", "1e999", "01", ".5", "9" * 400, "\\ud800", "\\u0000", "é", "\u2028"),
        *(" ", "\t", "\v", "\0", "\ufeff"),
    ]
)


@given(
    st.lists(JSON_PIECES, max_size=12).map("".join)
    | st.recursive(
        st.none() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=2), inside),
        max_leaves=8,
    ).map(json.dumps)
)
def test_the_fast_parser_accepts_nothing_that_is_refused(text: str) -> None:
    assert json_problem(text) == _problem(text)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":[', "]}"), ('[{"a":', "}]")])
@pytest.mark.parametrize("inside", ["", "1", '"[[["'])
def test_json_may_nest_to_the_bound_and_not_beyond(opening, closing, inside) -> None:
    inside = inside or ("1" if opening.endswith(":") else "")
    levels = MAX_JSON_DEPTH // (opening.count("[") + opening.count("{"))
    text = opening * levels + inside + closing * levels

    assert json_problem(text) == ""
    assert json_problem(f"[{text}]") == TOO_DEEP
    assert json_problem(f'{{"k": [1, 2], "l": {text}}}') == TOO_DEEP


def test_brackets_in_strings_are_no_nesting() -> None:
    assert json_problem('"' + "[{" * 10_000 + '"') == ""
    assert json_problem("[" + "[]," * 10_000 + "{}]") == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "[1,]",
        "{'a':1}",
        "01",
        "+1",
        ".5",
        "1.",
        "0x1",
        "Infinity",
        "-Infinity",
        "tru",
        '"\t"',
        '"\\x"',
        '"\\u12"',
        '{"a" 1}',
        "{a:1}",
        "[1 2]",
        "//\n1",
        "\xa01",
        "\ufeff1",
        "1\0",
    ],
)
def test_texts_that_rfc_8259_does_not_allow_are_refused(text: str) -> None:
    assert json_problem(text).startswith(("is not JSON", "Infinity"))


def test_garbage_is_collected_again_after_a_large_text() -> None:
    assert json_problem("[" + "[]," * 100_000 + "]").startswith("is not JSON")

    assert gc.isenabled()


def test_all_violations_of_a_request_are_found_with_their_paths() -> None:
    request = rpc.PutSnapshotRequest(
        events=[Event(type="t"), Event(tags=["x", ""])], expected_seq=-1
    )
    request.snapshot.state["plan"].json = "nil"
    request.snapshot.nodes.add(node_id="n").state.SetInParent()
    request.task_writes.add(task_id="t", index=100_001)

    assert set(violations(request)) == {
        "run_id",
        "expected_seq",
        'snapshot.state["plan"].json',
        "snapshot.nodes[0].state",
        "events[1].type",
        "events[1].tags[1]",
        "task_writes[0].index",
    }


def test_no_more_violations_are_collected_than_are_reported() -> None:
    request = rpc.AppendEventsRequest(run_id="r", events=[Event()] * 1000)

    assert len(violations(request)) == MAX_VIOLATIONS


@pytest.mark.parametrize("key", ["k" * 1_000_000, "\x01" * 200, "漢" * 200, '"' * 200])
def test_a_status_fits_into_headers_however_long_the_names_are(key: str) -> None:
    labels = {f"{number:02}{key}"[: len(key)]: "v" * 1001 for number in range(50)}

    with pytest.raises(InvalidRequest) as caught:
        validate(rpc.SaveRunRequest(project="漢" * 201, labels=labels))

    status = status_of(caught.value, "r" * 200)
    on_the_wire = len(status.SerializeToString()) * 4 // 3 + 3 * len(status.message.encode())
    assert on_the_wire < 8000


def test_the_same_payload_is_refused_wherever_it_stands() -> None:
    bad = Payload(json="{")
    request = rpc.CompleteRunRequest(run_id="r", events=[Event(type="t", payload=bad)])
    for payload in (request.output.payload, request.output.statistics):
        payload.CopyFrom(bad)
    request.final_snapshot.metadata.CopyFrom(Payload(json="{]"))

    assert violations(request) == [
        "events[0].payload.json",
        "output.payload.json",
        "output.statistics.json",
        "final_snapshot.metadata.json",
    ]
