"""errors.proto, the exceptions, the server's table and the client's tree name the same reasons."""

import inspect
import re
from pathlib import Path

import pytest
import runstore
from clients.filled import arguments
from google.rpc import error_details_pb2
from runstore.v1.errors_pb2 import ErrorReason
from runstore_server.edge import errors as server
from runstore_storage.contract import errors as storage

PREFIX = "ERROR_REASON_"
PROTO = Path(__file__).parents[3] / "protos/runstore/v1/errors.proto"


def classes(module: object, base: type) -> set[type]:
    return {
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, base)
        and each is not base
        and each.__module__.startswith(module.__name__)
    }


def test_every_reason_has_one_class_and_one_row() -> None:
    reasons = {name.removeprefix(PREFIX) for name in dict(ErrorReason.items())} - {"UNSPECIFIED"}
    raised = classes(storage, storage.StorageError) | classes(server, server.RequestError)
    rows = [reason for _, reason in server.STATUS.values()]

    assert set(server.STATUS) == raised
    assert sorted(rows) == sorted(reasons)
    assert set(runstore.BY_REASON) == reasons


def test_a_class_is_named_as_its_reason() -> None:
    for kind, (_, reason) in server.STATUS.items():
        assert "".join(word.title() for word in reason.split("_")) == kind.__name__
        assert runstore.BY_REASON[reason].__name__ == kind.__name__


def test_a_status_carries_code_reason_metadata_and_request_id() -> None:
    error = storage.SeqConflict("run", 1, 2)

    status = server.status_of(error, "request-1")

    raised = runstore.errors.from_status(status)
    assert isinstance(raised, runstore.SeqConflict)
    assert (raised.current_seq, raised.request_id) == (2, "request-1")
    assert raised.metadata == {"run_id": "run", "expected_seq": "1", "current_seq": "2"}


def test_an_overloaded_server_says_when_to_come_back() -> None:
    raised = runstore.errors.from_status(server.status_of(storage.Overloaded(0.25), "r"))

    assert isinstance(raised, runstore.Overloaded)
    assert raised.retry_after == 0.25


def test_an_unavailable_store_says_when_to_come_back() -> None:
    raised = runstore.errors.from_status(server.status_of(storage.StorageUnavailable(), "r"))

    assert isinstance(raised, runstore.Unavailable)
    assert raised.retry_after == storage.StorageUnavailable.retry_after


def said() -> dict[str, tuple[str, set[str]]]:
    """The code and the metadata keys of each reason, as its comment in the contract says."""
    found, comment = {}, ""
    for line in PROTO.read_text().splitlines():
        if line.startswith("  // "):
            comment += line.removeprefix("  //")
        elif line.startswith("  ERROR_REASON_") and "Metadata:" in comment:
            reason = line.split()[0].removeprefix(PREFIX)
            found[reason] = (comment.split()[0].rstrip("."), _keys(comment))
            comment = ""
        else:
            comment = ""
    return found


def _keys(comment: str) -> set[str]:
    found = re.search(r"Metadata: (.*?)\.(?: |$)", comment)
    assert found, comment
    return set(re.sub(r" ?\([^)]*\)", "", found[1]).split(", ")) - {"none"}


@pytest.mark.parametrize("kind", server.STATUS)
def test_code_and_metadata_are_those_of_the_contract(kind: type[Exception]) -> None:
    code, reason = server.STATUS[kind]
    made = kind(**arguments(kind.__init__)) if "__init__" in vars(kind) else kind()

    status = server.status_of(made, "r")

    raised = runstore.errors.from_status(status)
    assert (code.name, set(raised.metadata)) == said()[reason]
    assert server.code_of(made) is code
    assert status.code == code.value[0]


def test_a_long_message_is_cut_between_characters() -> None:
    def message_of(size: int) -> str:
        error = storage.StorageUnavailable()
        error.args = ("漢" * size,)
        return server.status_of(error, "r").message

    assert message_of(170) == "漢" * 170
    assert message_of(171) == "漢" * 170 + "..."


def test_a_message_of_the_most_bytes_is_whole_and_a_longer_one_is_cut() -> None:
    def message_of(size: int) -> str:
        error = storage.StorageUnavailable()
        error.args = ("x" * size,)
        return server.status_of(error, "r").message

    most = server.MAX_MESSAGE_BYTES
    assert message_of(most) == "x" * most
    assert message_of(most + 1) == "x" * most + "..."


def test_a_defect_says_only_where_it_is_logged() -> None:
    status = server.status_of(server.Internal("request-1"), "request-1")

    raised = runstore.errors.from_status(status)
    assert status.message == "internal error; the server logged it with this request id"
    assert raised.metadata == {"request_id": "request-1"}


def test_a_refusal_says_the_first_fault_and_how_many_more_there_are() -> None:
    def message_of(*fields: str) -> str:
        violations = [server.Violation(each, "is wrong") for each in fields]
        return server.status_of(server.InvalidRequest(violations), "r").message

    assert message_of("a") == "a: is wrong"
    assert message_of("a", "b", "c") == "a: is wrong (and 2 more)"


def test_as_many_violations_are_sent_as_fit_and_always_one() -> None:
    def sent(*sizes: int) -> list[int]:
        violations = [server.Violation("f", "x" * size) for size in sizes]
        status = server.status_of(server.InvalidRequest(violations), "r")
        answer = error_details_pb2.BadRequest()
        [_] = (each for each in status.details if each.Unpack(answer))
        return [len(each.description) for each in answer.field_violations]

    assert sent(900, 900, 900, 900) == [900, 900, 900]
    assert sent(5000, 1) == [5000]
    assert sent(1, 2) == [1, 2]
