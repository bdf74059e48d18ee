"""Statuses become exceptions by their reason."""

import grpc
import pytest
import runstore
from clients.script import status
from google.rpc import error_details_pb2
from runstore.errors import from_requests, from_rpc, from_status, from_stream
from runstore.failures import DETAILS_KEY
from runstore.v1.errors_pb2 import ErrorReason


class Failed(grpc.RpcError):
    """A failed call, as gRPC raises it."""

    def __init__(
        self, code: grpc.StatusCode, details: bytes | None = None, said: str = "words"
    ) -> None:
        self._code, self._details, self._said = code, details, said

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._said

    def trailing_metadata(self) -> list[tuple[str, bytes]]:
        return [(DETAILS_KEY, self._details)] if self._details is not None else []


REASONS = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - an enum wrapper


def test_every_reason_of_the_contract_has_its_class() -> None:
    assert set(runstore.BY_REASON) == REASONS
    assert len(set(runstore.BY_REASON.values())) == len(REASONS)


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_a_reason_becomes_its_class_whatever_the_code(reason: str) -> None:
    raised = from_status(status(2, reason))

    assert type(raised) is runstore.BY_REASON[reason]
    assert (raised.reason, raised.code) == (reason, grpc.StatusCode.UNKNOWN)


def test_a_status_has_the_code_of_its_number() -> None:
    numbers = {code.value[0]: code for code in grpc.StatusCode}
    found = {number: from_status(status(number, "ANY")).code for number in (*numbers, 99)}

    assert found == {**numbers, 99: grpc.StatusCode.UNKNOWN}


def test_a_conflict_names_both_seqs() -> None:
    raised = from_status(status(10, "SEQ_CONFLICT", expected_seq="3", current_seq="5"))

    assert isinstance(raised, runstore.SeqConflict)
    assert (raised.expected_seq, raised.current_seq) == (3, 5)


def test_a_denial_says_what_would_be_needed_and_a_quota_which_limit_it_is() -> None:
    denied = from_status(status(7, "PERMISSION_DENIED", project="acme", role="writer"))
    exceeded = from_status(status(8, "QUOTA_EXCEEDED", limit="events"))

    assert isinstance(denied, runstore.PermissionDenied)
    assert (denied.project, denied.role) == ("acme", "writer")
    assert isinstance(exceeded, runstore.QuotaExceeded)
    assert exceeded.limit == "events"


def test_an_expired_credential_is_one_that_the_server_no_longer_takes() -> None:
    raised = from_status(status(16, "CREDENTIAL_EXPIRED"))

    assert isinstance(raised, runstore.Unauthenticated)
    assert type(from_status(status(16, "UNAUTHENTICATED"))) is runstore.Unauthenticated


def test_an_unknown_reason_is_a_plain_error_that_names_it() -> None:
    raised = from_status(status(9, "NEW_IN_VERSION_TWO", key="value"))

    assert type(raised) is runstore.RunstoreError
    assert raised.metadata == {"key": "value"}
    assert "NEW_IN_VERSION_TWO" in str(raised)


def test_a_status_says_when_to_come_back_if_it_has_retry_info() -> None:
    said, silent = status(8, "OVERLOADED"), status(8, "OVERLOADED")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.seconds, retry.retry_delay.nanos = 3, 250_000_000
    said.details.add().Pack(retry)

    assert from_status(said).retry_after == 3.25
    assert from_status(silent).retry_after is None


@pytest.mark.parametrize("details", [None, b"\xff\xff not a status"])
def test_without_details_the_code_decides(details: bytes | None) -> None:
    for code, kind in [
        (grpc.StatusCode.UNAVAILABLE, runstore.Unavailable),
        (grpc.StatusCode.CANCELLED, runstore.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, runstore.DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, runstore.Unavailable),
        (grpc.StatusCode.UNKNOWN, runstore.Unavailable),
        (grpc.StatusCode.UNIMPLEMENTED, runstore.RunstoreError),
        (grpc.StatusCode.PERMISSION_DENIED, runstore.RunstoreError),
    ]:
        assert type(from_rpc(Failed(code, details))) is kind


def test_a_connection_that_breaks_during_a_request_is_not_a_defect_of_the_server() -> None:
    broken = Failed(grpc.StatusCode.INTERNAL, None, said="Internal error from Core")

    assert type(from_rpc(broken)) is runstore.Unavailable


def test_a_proxys_limit_of_the_body_is_named_except_for_streams_that_go_on_with_another() -> None:
    said = "Received http2 header with status: 413"
    refused = Failed(grpc.StatusCode.UNKNOWN, None, said)

    for error in (from_rpc(refused), from_requests(refused)):
        assert type(error) is runstore.MessageTooLarge
        assert "client_max_body_size" in str(error)
    assert type(from_stream(refused)) is runstore.Unavailable


async def test_errors_carry_reason_metadata_and_violations(client: runstore.AsyncClient) -> None:
    run = await client.save_run()
    with pytest.raises(runstore.SeqConflict) as conflict:
        await run.append("a", expected_seq=7)
    with pytest.raises(runstore.InvalidRequest) as invalid:
        await run.append("", node_id="x" * 201)
    with pytest.raises(runstore.RunNotFound):
        await client.run("nobody").get()

    assert conflict.value.current_seq == 0
    assert [field for field, _ in invalid.value.violations] == ["event.type", "event.node_id"]
    assert invalid.value.request_id
