"""What people see: every table in a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import runstore
from runstore_server.cli.differences import Difference
from runstore_server.cli.printing import console
from runstore_server.cli.sinks import Standing, _print_standings
from runstore_server.cli.tables import (
    admin,
    artifacts,
    configs,
    events,
    feed,
    replays,
    runs,
    search,
    statistics,
    tokens,
)
from runstore_server.cli.tables import sinks as dead_letters
from runstore_storage.contract.feed import DeadLetter

AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
RUN = "0199f6a2-7c31-7d55-9a0e-5f0b1c2d3e4f"
OBJECTIVE = "Compare the three cheapest ways to move forty terabytes between regions within a week"
PAYLOAD = runstore.Payload('{"query": "SELECT run, seq FROM events ORDER BY seq", "rows": 1000}')
USAGE = runstore.Usage(1_234_567, 45_678, 12_345, 9_876_543, timedelta(seconds=4321))
DIGEST = "sha256:" + 64 * "a"
COLUMNS = 80

INFO = runstore.RunInfo(
    project="acme/search",
    run_id=RUN,
    plan_id="plan",
    objective=OBJECTIVE,
    plan=None,
    parent_run_id="",
    external_ref=None,
    config_refs=(),
    tags=("nightly", "europe"),
    labels={"team": "search", "ticket": "SEARCH-1234"},
    status=runstore.RunStatus.SUCCEEDED,
    outcome=runstore.Outcome.SUCCEEDED,
    last_seq=1234,
    last_hash=b"",
    writer_epoch=2,
    usage=USAGE,
    created_at=AT,
    updated_at=AT,
    completed_at=AT,
)
EVENT = runstore.Event(
    seq=1234,
    type="tool.called",
    payload=PAYLOAD,
    event_id="",
    node_id="search-the-catalogue",
    actor="worker-2",
    model="large-2026-01",
    tool="postgres",
    tags=(),
    usage=None,
    trace_parent="",
    occurred_at=None,
    recorded_at=AT,
    hash=b"",
)
ARTIFACT = runstore.Artifact(
    artifact_id="a",
    project="acme/search",
    run_id=RUN,
    name="reports/summary-of-the-third-quarter.pdf",
    version=3,
    type="report",
    content_type="application/pdf",
    size=12_345_678,
    sha256=bytes(32),
    url="",
    metadata=None,
    actor="",
    created_at=AT,
)
VERSION = runstore.ConfigVersion(
    kind="prompt",
    name="summarize-search-results-for-the-planner",
    version=17,
    digest=DIGEST,
    body=runstore.Payload("{}"),
    body_bytes=2,
    description="Asks for sources first, then for the answer, and for doubts at the end of it.",
    metadata=None,
    labels=("production", "canary", "europe"),
    actor="ann@example.org",
    created_at=AT,
)
CONFIG = runstore.Config(
    kind=VERSION.kind,
    name=VERSION.name,
    latest=VERSION,
    labels=tuple(
        runstore.ConfigLabel(label, 16, "ann", AT)
        for label in ("production", "canary", "europe-west")
    ),
    created_at=AT,
)
MOVE = runstore.LabelMove(
    label="production", from_version=16, to_version=17, actor="ann@example.org", moved_at=AT
)
HIT = runstore.SearchHit(
    run_id=RUN,
    seq=1234,
    position=1,
    rank=1.0,
    recorded_at=AT,
    snippet="connection refused\x1b[31m by the replica in the second zone, trying the third one",
    highlights=((0, 18),),
    event=None,
)
CONSUMER = runstore.Consumer(
    name="indexer-of-the-knowledge-base-in-europe",
    position=123_456_789,
    last_position=123_456_999,
    created_at=AT,
    committed_at=AT,
)
LETTER = DeadLetter(
    id=1234,
    sink="nats",
    position=123_456_789,
    attempts=12,
    error="500 from https://hooks.example.org/runs/very/long/path: upstream connect error",
    failed_at=AT,
)
COUNTED = runstore.StatisticsRow(
    run_id="",
    node_id="",
    model="large-2026-01",
    tool="",
    type="",
    day=None,
    label_value="",
    events=1_234_567,
    errors=12,
    tool_calls=123_456,
    runs=9_876,
    usage=USAGE,
)
ISSUED = runstore.Principal(runstore.PrincipalKind.JWT, "system:ann", "https://login.example.org/")
GRANTS = (
    runstore.Grant(runstore.Role.WRITER, "acme/search/*"),
    runstore.Grant(runstore.Role.ADMIN, "acme/knowledge-base-of-europe"),
    runstore.Grant(runstore.Role.READER, "*"),
)
TOKEN = runstore.Token(
    token_id="0g4kqv2m8w1z",
    prefix="rs1_0g4kqv2m8w1z",
    name="planner of the nightly summaries",
    grants=GRANTS,
    created_by=ISSUED,
    created_at=AT,
    expires_at=AT,
    revoked_at=AT,
    last_used_at=AT,
)
RECORD = runstore.AdminRecord(
    number=123_456,
    recorded_at=AT,
    method="CreateToken",
    resource="tokens/0g4kqv2m8w1z",
    principal=ISSUED,
    grants=GRANTS,
    allowed=False,
    peer="ipv4:127.0.0.1:34138",
    request_id="",
    call_id="",
    request="{}",
    status="PERMISSION_DENIED",
    previous_hash=bytes(32),
    hash=bytes(32),
)
TABLES: dict[str, Callable[[], None]] = {
    "runs": lambda: runs.print_runs([INFO, INFO]),
    "run": lambda: runs.print_run(INFO, None),
    "event": lambda: events.print_event(EVENT),
    "entry": lambda: events.print_entry(runstore.FeedEntry(123_456_789, RUN, EVENT, AT)),
    "artifacts": lambda: artifacts.print_artifacts([ARTIFACT]),
    "configs": lambda: configs.print_configs([CONFIG]),
    "version": lambda: configs.print_version(VERSION),
    "versions": lambda: configs.print_versions([VERSION]),
    "moves": lambda: configs.print_moves([MOVE]),
    "hits": lambda: search.print_hits([HIT]),
    "consumers": lambda: feed.print_consumers([CONSUMER]),
    "dead letters": lambda: dead_letters.print_dead_letters("nats", [(LETTER, None)]),
    "sinks": lambda: _print_standings([Standing("nats-of-europe", "nats", 123_456, 123_999, 3)]),
    "statistics": lambda: statistics.print_statistics(
        ["model"], [({"model": COUNTED.model}, COUNTED)]
    ),
    "differences": lambda: replays.print_differences(
        [Difference("pending_node", "search-the-catalogue", "changed", ("status", "state"))]
    ),
    "caller": lambda: admin.print_caller(runstore.Caller(ISSUED, GRANTS, AT)),
    "limits": lambda: admin.print_limits(runstore.Limits(0, 1_234, 5_678_901, 10**18, 7)),
    "records": lambda: admin.print_records([RECORD]),
    "tokens": lambda: tokens.print_tokens([TOKEN]),
}
# The words of which a person has to find each whole on one line.
WORDS = {
    "runs": (RUN, "succeeded", "2026-03-14 15:09:26Z", "$9.8765", "terabytes"),
    "run": (RUN, "acme/search", "terabytes", "SEARCH-1234", "2026-03-14 15:09:26Z"),
    "event": ("1234", "tool.called", "search-the-catalogue", "postgres", "events", "1000"),
    "entry": ("123456789", RUN, "tool.called", "search-the-catalogue"),
    "artifacts": (ARTIFACT.name, RUN, "12,345,678", "report", "2026-03-14 15:09:26Z"),
    "configs": (CONFIG.name, "prompt", "17", "production=16", "europe-west=16"),
    "version": (VERSION.name, "prompt", "17", "production", "2026-03-14 15:09:26Z"),
    "versions": ("17", DIGEST[:19], "2026-03-14 15:09:26Z", "ann@example.org", "canary"),
    "moves": ("production", "version 16", "version 17", "ann@example.org"),
    "hits": (RUN, "1234", "2026-03-14 15:09:26Z", "connection refused", "replica"),
    "consumers": (CONSUMER.name, "123456789", "210", "2026-03-14 15:09:26Z"),
    "dead letters": ("1234", "123456789", "12", "2026-03-14 15:09:26Z", "500"),
    "sinks": ("nats-of-europe", "123456", "543"),
    "statistics": ("large-2026-01", "1,234,567", "123,456", "45,678", "$9.8765", "1:12:01"),
    "differences": ("search-the-catalogue", "pending node", "changed", "status, state"),
    "caller": ("jwt", "system:ann", "acme/knowledge-base-of-europe", "2026-03-14 15:09:26Z"),
    "limits": ("no limit", "1,234", "5,678,901", "1,000,000,000,000,000,000"),
    "records": ("123456", "system:ann", "PERMISSION_DENIED", "tokens/0g4kqv2m8w1z"),
    "tokens": (TOKEN.token_id, TOKEN.name, "revoked", "2026-03-14 15:09:26Z", "writer@acme"),
}


@pytest.fixture
def width(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setattr(console, "width", COLUMNS)
    return COLUMNS


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_readable_at_80_columns(
    name: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    TABLES[name]()

    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) <= width
    missing = [word for word in WORDS[name] if not any(word in line for line in lines)]
    assert missing == [], "\n".join(lines)


@pytest.mark.parametrize("name", TABLES)
def test_in_a_pipe_nothing_is_cut_or_wrapped(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    TABLES[name]()

    printed = capsys.readouterr().out
    assert "…" not in printed
    assert [word for word in WORDS[name] if word not in printed] == []
    assert "\x1b" not in printed


def test_what_fits_is_a_table(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    TABLES["moves"]()

    heading, line = capsys.readouterr().out.splitlines()
    assert heading.index("from") == line.index("version 16")
