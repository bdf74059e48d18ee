"""errors.proto, the exceptions, the server's table and the client's tree name the same reasons."""

import inspect

import runstore
from runstore.v1.errors_pb2 import ErrorReason
from runstore_server.edge import errors as server
from runstore_storage.contract import errors as storage

PREFIX = "ERROR_REASON_"


def classes(module: object, base: type) -> set[type]:
    return {
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, base) and each is not base and each.__module__ == module.__name__
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
