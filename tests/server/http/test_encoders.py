"""What streams send as text, item by item: each block, and the id from which a client continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from entries import entry
from runstore_server.http.streams import sse
from runstore_server.http.streams.events import EventEncoder
from runstore_server.http.streams.feed import FeedEncoder
from runstore_server.streams.feed import FeedItem, Live, Silence
from runstore_server.streams.following import Item, Progress
from runstore_storage.contract.events import EventPage
from runstore_storage.contract.heads import Outcome
from sse_client import Parser


def page(*seqs: int, next_from_seq: int) -> EventPage:
    """A page that reads up to `next_from_seq`, of a run that has 9 events."""
    events = tuple(entry(seq).recorded for seq in seqs)
    return EventPage(events, next_from_seq, 9, False, Outcome.FAILED)


def events(*seqs: int, up_to: int) -> Item:
    return Item(Progress.EVENTS, page(*seqs, next_from_seq=up_to + 1))


def progress(kind: Progress, *, up_to: int) -> Item:
    return Item(kind, page(next_from_seq=up_to + 1))


def sent(texts: Sequence[str]) -> list[Any]:
    """What an EventSource makes of each text: its messages, and the id that it continues with."""
    parser = Parser()
    seen: list[Any] = []
    for text in texts:
        messages = [*parser.feed(text.encode())]
        seen.append((*((each.type, each.last_event_id) for each in messages), parser.last_event_id))
    return seen


CAUGHT_UP, HEARTBEAT, END = Progress.CAUGHT_UP, Progress.HEARTBEAT, Progress.END_OF_RUN


@pytest.mark.parametrize(
    ("from_seq", "items", "seen", "next_from_seq"),
    [
        (4, [events(4, up_to=4)], [(("message", "4"), "4")], 5),
        (1, [events(1, 3, up_to=5)], [(("message", "1"), ("message", "3"), "3")], 4),
        (4, [progress(CAUGHT_UP, up_to=3)], [(("caught_up", ""), "")], 4),
        (4, [progress(CAUGHT_UP, up_to=9)], [(("caught_up", "9"), "9")], 10),
        (
            1,
            [events(1, up_to=5), *[progress(HEARTBEAT, up_to=5)] * 2],
            [(("message", "1"), "1"), ("5",), ("5",)],
            6,
        ),
        (4, [progress(HEARTBEAT, up_to=3), progress(HEARTBEAT, up_to=4)], [("",), ("4",)], 5),
        (4, [progress(END, up_to=9)], [(("end", "end"), "end")], 10),
    ],
)
def test_events_and_progress_have_the_ids_from_which_a_client_continues(
    from_seq: int, items: list[Item], seen: list[Any], next_from_seq: int
) -> None:
    encoder = EventEncoder(from_seq)

    texts = [encoder.text(item) for item in items]

    assert sent(texts) == seen
    assert f'"next_from_seq":{next_from_seq}}}' in encoder.draining()


@pytest.mark.parametrize(
    ("from_position", "items", "seen", "next_position"),
    [
        (4, [(entry(4),)], [(("message", "4"), "4")], 5),
        (1, [(entry(1), entry(7))], [(("message", "1"), ("message", "7"), "7")], 8),
        (4, [Live(3)], [(("caught_up", ""), "")], 4),
        (4, [Live(9)], [(("caught_up", "9"), "9")], 10),
        (
            1,
            [(entry(5),), Live(5), Silence(5)],
            [(("message", "5"), "5"), (("caught_up", "5"), "5"), ("5",)],
            6,
        ),
        (4, [Silence(3), Silence(8), Silence(8)], [("",), ("8",), ("8",)], 9),
    ],
)
def test_entries_and_progress_have_the_ids_from_which_a_client_continues(
    from_position: int, items: list[FeedItem], seen: list[Any], next_position: int
) -> None:
    encoder = FeedEncoder(from_position)

    texts = [encoder.text(item) for item in items]

    assert sent(texts) == seen
    assert f'"next_position":{next_position}}}' in encoder.draining()


def test_progress_says_where_it_is() -> None:
    of_run, of_feed = EventEncoder(1), FeedEncoder(1)

    assert of_run.text(progress(CAUGHT_UP, up_to=9)) == (
        'id: 9\nevent: caught_up\ndata: {"last_seq":9}\n\n'
    )
    assert of_run.text(progress(HEARTBEAT, up_to=9)) == ": heartbeat 9\n\n"
    assert of_run.text(progress(END, up_to=9)) == (
        'id: end\nevent: end\ndata: {"last_seq":9,"outcome":"failed"}\n\n'
    )
    assert of_feed.text(Silence(3)) == ": heartbeat 3\nid: 3\n\n"
    assert of_feed.text(Live(3)) == 'event: caught_up\ndata: {"position":3}\n\n'


def test_the_answer_of_a_stream_may_not_be_kept_by_what_is_in_between() -> None:
    assert sse.HEADERS == {
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        "Vary": "Accept",
    }
