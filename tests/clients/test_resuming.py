"""Downloads and streams of the feed know where to continue, without a connection."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
import runstore
from runstore.retry import Backoff
from runstore.streams.artifacts import ArtifactDownload
from runstore.streams.feed import FeedStream
from runstore.v1 import artifact_service_pb2, artifacts_pb2, feed_pb2, feed_service_pb2
from runstore.values.feed import FeedMark, FollowFields

BYTES = b"abcdefgh"


def download(offset: int = 0, length: int = 0) -> ArtifactDownload:
    return ArtifactDownload("p", {"run_id": "run", "name": "a"}, offset, length, Backoff())


def header(data: bytes = BYTES) -> artifact_service_pb2.DownloadArtifactResponse:
    described = artifacts_pb2.Artifact(
        artifact_id="id", size=len(data), sha256=sha256(data).digest()
    )
    return artifact_service_pb2.DownloadArtifactResponse(artifact=described)


def received(stream: ArtifactDownload, *chunks: bytes) -> bytes:
    """What the caller gets of a header and chunks."""
    messages = [
        header(),
        *(artifact_service_pb2.DownloadArtifactResponse(chunk=chunk) for chunk in chunks),
    ]
    return b"".join(piece for message in messages for piece in stream.take(message))


def asked(stream: ArtifactDownload) -> artifact_service_pb2.DownloadArtifactRequest:
    """What would be sent now."""
    sent = stream.request().SerializeToString()
    return artifact_service_pb2.DownloadArtifactRequest.FromString(sent)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 0, b"abcdefgh"), (0, 3, b"abc"), (2, 0, b"cdefgh"), (2, 3, b"cde")],
)
@pytest.mark.parametrize("broken_after", [0, 1, 2])
def test_a_download_that_breaks_asks_for_the_rest_of_the_same_version(
    offset: int, length: int, expected: bytes, broken_after: int
) -> None:
    stream = download(offset, length)
    first = asked(stream)

    seen = received(stream, *filter(None, [expected[:broken_after]]))
    again = asked(stream)
    is_over_early = stream.is_over
    seen += received(stream, expected[broken_after:])

    assert (first.run_id, first.name, first.offset, first.length) == ("run", "a", offset, length)
    assert (again.project, again.artifact_id, again.run_id, again.name) == ("p", "id", "", "")
    assert again.offset == offset + broken_after
    assert again.length == len(expected) - broken_after
    assert (is_over_early, stream.is_over) == (False, True)
    assert seen == expected
    stream.ended()


def test_only_a_whole_artifact_can_be_checked() -> None:
    with pytest.raises(runstore.ProtocolError, match="not the artifact's"):
        received(download(), b"abcd", b"efgX")

    assert received(download(offset=1), b"bcdefgX") == b"bcdefgX"
    assert received(download(length=2), b"aX") == b"aX"


def test_an_empty_artifact_ends_with_its_header() -> None:
    stream = download()

    assert [*stream.take(header(b""))] == []

    assert stream.is_over


def test_a_download_that_ends_early_is_no_download() -> None:
    stream = download()
    received(stream, b"abc")

    with pytest.raises(runstore.ProtocolError, match="5 bytes early"):
        stream.ended()


def entries(*positions: int) -> feed_service_pb2.FollowFeedResponse:
    found = [feed_pb2.FeedEntry(position=position) for position in positions]
    return feed_service_pb2.FollowFeedResponse(entries={"entries": found})


def mark(kind: str, position: int) -> feed_service_pb2.FollowFeedResponse:
    return feed_service_pb2.FollowFeedResponse(**{kind: {"position": position}})


def followed(from_position: int = 0, **fields: Any) -> FeedStream:
    return FeedStream("p", from_position, "reader", FollowFields(**fields), Backoff())


@pytest.mark.parametrize(
    ("messages", "seen", "continues"),
    [
        ([], [], (0, "reader")),
        ([entries(4, 7)], [4, 7], (8, "")),
        ([entries(4, 7), entries(7, 9)], [4, 7, 9], (10, "")),
        ([entries(4), mark("caught_up", 6)], [4, FeedMark(6, True)], (7, "")),
        (
            [mark("heartbeat", 6), mark("heartbeat", 5)],
            [FeedMark(6, False), FeedMark(5, False)],
            (7, ""),
        ),
        ([mark("caught_up", 6), entries(6, 7)], [FeedMark(6, True), 7], (8, "")),
    ],
)
def test_a_feed_continues_after_what_was_delivered_not_at_what_was_committed(
    messages: list[Any], seen: list[Any], continues: tuple[int, str]
) -> None:
    stream = followed()

    items = [item for message in messages for item in stream.take(message)]

    assert [each if isinstance(each, FeedMark) else each.position for each in items] == seen
    request = stream.request()
    assert (request.from_position, request.consumer) == continues


def test_a_feed_is_asked_for_what_the_caller_selects() -> None:
    request = followed(5, types=["t"], tags=["g"], labels={"a": "b"}, heartbeat_seconds=2).request()

    assert (request.project, request.from_position, request.consumer) == ("p", 5, "")
    assert (request.filter.types, request.filter.tags) == (["t"], ["g"])
    assert request.filter.labels == {"a": "b"}
    assert request.heartbeat_interval.ToTimedelta().total_seconds() == 2


@pytest.mark.parametrize(("fields", "seconds"), [({}, 30), ({"heartbeat_seconds": 2}, 6)])
def test_a_feed_that_misses_three_heartbeats_is_dead(fields: Any, seconds: float) -> None:
    assert followed(**fields).silence_seconds == seconds


def test_a_feed_has_no_end() -> None:
    with pytest.raises(runstore.ProtocolError):
        followed().ended()
