"""Events arrive at an HTTP endpoint, whatever it does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest
import pytest_asyncio
from entries import entry, interleaved
from receiver import CLOSE, Receiver, Request, answer
from runstore_server.sinks.settings import WebhookSinkSettings
from runstore_server.sinks.sink import Undelivered
from runstore_server.sinks.webhook import WebhookSink
from runstore_storage.contract.events import Event
from runstore_storage.contract.feed import FeedEntry
from runstore_storage.contract.payloads import Payload
from server.sinks.retrying import deliver_until_taken

Open = Callable[..., WebhookSink]


@pytest_asyncio.fixture
async def open_webhook(receiver: Receiver) -> AsyncIterator[Open]:
    """Opens sinks that post to the receiver, with further settings; they are closed afterwards."""
    async with AsyncExitStack() as stack:

        def opened(**more: object) -> WebhookSink:
            settings = {"kind": "webhook", "name": "hook", "url": receiver.url, **more}
            sink = WebhookSink(WebhookSinkSettings.model_validate(settings))
            stack.push_async_callback(sink.close)
            return sink

        yield opened


async def outcome(sink: WebhookSink, given: FeedEntry | None = None) -> Undelivered | None:
    [found] = await sink.deliver([given or entry()])
    return found


def seqs_by_run(requests: Sequence[Request]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for request in requests:
        event = json.loads(request.body)
        found.setdefault(event["subject"], []).append(int(event["seq"]))
    return found


async def test_an_event_is_posted_as_a_structured_cloud_event(open_webhook, receiver) -> None:
    sink = open_webhook(headers={"Authorization": "Bearer x"})

    found = await outcome(sink)

    [request] = receiver.requests
    assert found is None
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["webhook-id"] == json.loads(request.body)["id"]
    assert "webhook-signature" not in request.headers


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("whsec_" + base64.b64encode(bytes(range(32))).decode(), bytes(range(32))),
        ("a plain sécret", "a plain sécret".encode()),
    ],
)
async def test_a_signature_proves_id_time_and_body(
    open_webhook, receiver, secret: str, key: bytes
) -> None:
    before = int(time.time())

    await outcome(open_webhook(secret=secret))

    [request] = receiver.requests
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert before <= int(headers["webhook-timestamp"]) <= time.time()


async def test_a_repetition_has_the_same_id_and_body(open_webhook, receiver) -> None:
    sink = open_webhook(secret="s")

    await outcome(sink)
    await outcome(sink)

    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


@pytest.mark.parametrize(
    "text", ['{"a":1.0,"a":1e400}', "[9223372036854775808]", ' "\\ud800\u2028😀" ', "9" * 5000]
)
async def test_payloads_arrive_byte_for_byte(open_webhook, receiver, text: str) -> None:
    await outcome(open_webhook(), entry(event=Event(type="t", payload=Payload(text))))

    assert receiver.requests[0].body.endswith(b'"json":' + text.encode() + b"}}}")


async def test_a_body_of_many_megabytes_arrives(open_webhook, receiver) -> None:
    payload = Payload(json.dumps("x" * (12 << 20)))

    assert await outcome(open_webhook(), entry(event=Event(type="t", payload=payload))) is None

    assert payload.data in receiver.requests[0].body


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_every_2xx_is_a_receipt(open_webhook, receiver, status: int) -> None:
    receiver.reply = lambda request: answer(status)

    assert await outcome(open_webhook()) is None


@pytest.mark.parametrize(
    ("status", "is_refusal"),
    [
        (301, True),
        (302, True),
        (400, True),
        (404, True),
        (410, True),
        (408, False),
        (425, False),
        (429, False),
        (500, False),
        (503, False),
    ],
)
async def test_every_other_status_leaves_the_event_undelivered(
    open_webhook, receiver, status: int, is_refusal: bool
) -> None:
    receiver.reply = lambda request: answer(status, b"because\nof that")

    found = await outcome(open_webhook())

    assert found
    assert str(found) == f"answered {status}: because of that"
    assert found.is_refusal is is_refusal
    assert found.is_attempted
    assert not found.is_final
    assert found.retry_after is None


async def test_a_redirect_is_not_followed(open_webhook, receiver) -> None:
    receiver.reply = lambda request: answer(307, Location=receiver.url + "/other")

    assert await outcome(open_webhook())

    assert [request.path for request in receiver.requests] == ["/hook"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("kind", ["seconds", "date"])
async def test_a_receiver_that_asks_for_a_pause_gets_it(
    open_webhook, receiver, status: int, kind: str
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    asked = "30" if kind == "seconds" else later
    receiver.reply = lambda request: answer(status, Retry_After=asked)
    sink = open_webhook()

    first = await outcome(sink)
    second = await outcome(sink, entry(2, run_id="other"))

    assert first
    assert second
    assert first.is_attempted
    assert not second.is_attempted
    assert 28 <= (first.retry_after or 0) <= 30
    assert 28 <= (second.retry_after or 0) <= 30
    assert len(receiver.requests) == 1


async def test_a_pause_comes_to_its_end(open_webhook, receiver) -> None:
    receiver.reply = lambda request: (
        answer(429, Retry_After="0.2") if len(receiver.requests) == 1 else answer(204)
    )

    await deliver_until_taken(open_webhook(), interleaved(3, 2))

    assert seqs_by_run(receiver.requests[1:]) == {f"run-{run}": [1, 2] for run in range(3)}


async def test_an_endpoint_that_hangs_is_given_up_in_time(open_webhook, receiver) -> None:
    receiver.reply = lambda request: None

    found = await outcome(open_webhook(timeout_seconds=0.2))

    assert str(found) == "no answer within 0.2 seconds"


async def test_an_endpoint_that_is_not_served_is_an_outcome(open_webhook) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{held.getsockname()[1]}"

        found = await outcome(open_webhook(url=url))

    assert found
    assert str(found).startswith("no answer: ConnectError")
    assert not found.is_refusal


@pytest.mark.parametrize(
    "reply", [CLOSE, b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Le", b"what is this\r\n\r\n!"]
)
async def test_an_answer_cut_before_its_body_is_no_receipt(
    open_webhook, receiver, reply: bytes
) -> None:
    receiver.reply = lambda request: reply

    found = await outcome(open_webhook())

    assert found
    assert str(found).startswith("no answer: RemoteProtocolError")


async def test_a_receipt_counts_though_its_body_is_cut(open_webhook, receiver) -> None:
    receiver.reply = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"

    assert await outcome(open_webhook()) is None


async def test_a_receipt_counts_though_its_body_never_comes(open_webhook, receiver) -> None:
    receiver.reply = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"

    assert await outcome(open_webhook(timeout_seconds=2)) is None


async def test_of_a_large_answer_only_the_beginning_is_read(open_webhook, receiver) -> None:
    receiver.reply = lambda request: answer(500, b"x" * (64 << 20))

    found = await outcome(open_webhook())

    assert str(found) == "answered 500: " + "x" * 200


async def test_an_answer_that_never_ends_is_left_at_its_bound(open_webhook, receiver) -> None:
    endless = b"HTTP/1.1 500 Oh\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 10_000
    receiver.reply = lambda request: endless + b"\r\n\r\n"  # and the connection stays open

    async with asyncio.timeout(60):
        found = await outcome(open_webhook(timeout_seconds=60))

    assert found


async def test_connections_are_used_again(open_webhook, receiver) -> None:
    await deliver_until_taken(open_webhook(concurrency=2), interleaved(4, 10))

    assert len(receiver.requests) == 40
    assert receiver.connections <= 2


async def test_a_run_is_posted_in_line_and_runs_side_by_side(open_webhook, receiver) -> None:
    receiver.reply = lambda request: None
    sink = open_webhook(concurrency=3, timeout_seconds=2)

    delivering = asyncio.create_task(sink.deliver(interleaved(5, 2)))
    await receiver.wait_for(3)
    under_way = seqs_by_run(receiver.requests)
    receiver.reply = lambda request: answer(204)
    await delivering

    assert under_way == {"run-0": [1], "run-1": [1], "run-2": [1]}


async def test_runs_stay_in_order_whatever_fails(open_webhook, receiver) -> None:
    """The endpoint takes, refuses, breaks, cuts and hangs at random, seeded."""
    random = Random(7)
    taken: list[Request] = []

    def reply(request: Request) -> bytes | None:
        taken_reply = answer(204)
        chosen = random.choices(
            [taken_reply, answer(500), answer(400), CLOSE, None, b"HTTP/1.1 2"],
            [60, 10, 10, 10, 1, 9],
        )[0]
        # A cut answer may follow a taken event: the sender cannot know.
        if chosen in (taken_reply, b"HTTP/1.1 2"):
            taken.append(request)
        return chosen

    receiver.reply = reply

    await deliver_until_taken(open_webhook(timeout_seconds=0.5), interleaved(6, 30))

    found = seqs_by_run(taken)
    assert len(taken) > 180
    assert len(found) == 6
    for seqs in found.values():
        assert list(dict.fromkeys(seqs)) == list(range(1, 31))
