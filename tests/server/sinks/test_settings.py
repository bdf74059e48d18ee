"""Sinks are configured in one variable, and what is wrong with it is said."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError
from runstore_server.settings import Settings
from runstore_server.sinks.jetstream import JetStreamSink
from runstore_server.sinks.opening import open_sink
from runstore_server.sinks.settings import NatsSinkSettings, WebhookSinkSettings
from runstore_server.sinks.webhook import WebhookSink

NATS = {"kind": "nats", "name": "bus"}
WEBHOOK = {"kind": "webhook", "name": "hook", "url": "https://example.com/in?a=b"}


RESERVED_HEADERS = [
    "Content-Type",
    "content-length",
    "Transfer-Encoding",
    "host",
    "connection",
    "accept-encoding",
    "Webhook-Id",
    "webhook-signature",
]


def configured(monkeypatch: pytest.MonkeyPatch, *sinks: dict[str, object]) -> Settings:
    monkeypatch.setenv("RUNSTORE_SINKS", json.dumps(sinks))
    return Settings()


async def test_each_kind_opens_its_sink(monkeypatch: pytest.MonkeyPatch) -> None:
    bus, hook = map(open_sink, configured(monkeypatch, NATS, WEBHOOK).sinks)

    assert isinstance(bus, JetStreamSink)
    assert isinstance(hook, WebhookSink)
    assert (bus.name, bus.max_attempts) == ("bus", None)
    assert (hook.name, hook.max_attempts) == ("hook", 10)
    await bus.close()
    await hook.close()


def test_there_are_no_sinks_by_default() -> None:
    assert Settings().sinks == ()


def test_two_sinks_of_one_name_are_refused_by_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="several sinks are named bus"):
        configured(monkeypatch, NATS, WEBHOOK, {**WEBHOOK, "name": "bus"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "Hook"},
        {"name": "a" * 51},
        {"name": "hook\n"},
        {"project": "bad project"},
        {"url": "ftp://example.com"},
        {"secret": ""},
        {"secret": "whsec_"},
        {"secret": "whsec_not base64"},
        {"headers": {"a b": "c"}},
        *({"headers": {name: "c"}} for name in RESERVED_HEADERS),
        {"headers": {"a": "b\r\nc: d"}},
        {"concurrency": 0},
        {"concurrency": 257},
        {"timeout_seconds": 0},
        {"timeout_seconds": 600.1},
        {"max_attempts": 0},
        {"colour": "red"},
    ],
)
def test_a_webhook_with_something_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        configured(monkeypatch, WEBHOOK | wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"servers": []},
        {"servers": ["http://a"]},
        {"stream": "A.B"},
        {"stream": "A" * 201},
        {"subject_prefix": "a" * 101},
        {"duplicate_window_seconds": 0.9},
        {"duplicate_window_seconds": 86_401},
        {"subject_prefix": "a..b"},
        {"subject_prefix": "a.>"},
        {"credentials": "/there/is/no.creds"},
    ],
)
def test_a_stream_with_something_wrong_is_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, object]
) -> None:
    with pytest.raises(ValidationError):
        configured(monkeypatch, NATS | wrong)


@pytest.mark.parametrize(
    ("sink", "least", "most"),
    [
        (WEBHOOK, {"name": "a"}, {"name": "a" * 50}),
        (WEBHOOK, {"concurrency": 1}, {"concurrency": 256}),
        (WEBHOOK, {"timeout_seconds": 0.1}, {"timeout_seconds": 600}),
        (WEBHOOK, {"max_attempts": 1}, {"max_attempts": 1_000_000}),
        (NATS, {"stream": "A"}, {"stream": "A" * 200}),
        (NATS, {"subject_prefix": "a"}, {"subject_prefix": "a" * 100}),
        (NATS, {"duplicate_window_seconds": 1}, {"duplicate_window_seconds": 86_400}),
    ],
)
def test_what_is_within_its_bounds_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    sink: dict[str, object],
    least: dict[str, object],
    most: dict[str, object],
) -> None:
    for given in (least, most):
        (taken,) = configured(monkeypatch, sink | given).sinks

        assert given.items() <= taken.model_dump().items()


@pytest.mark.parametrize("kind", [NatsSinkSettings, WebhookSinkSettings])
def test_every_setting_is_described(kind: type[BaseModel]) -> None:
    described = {name for name, field in kind.model_fields.items() if field.description}

    assert described | {"kind"} == kind.model_fields.keys()


def test_secrets_are_neither_in_errors_nor_in_the_text_of_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secretive = {
        **WEBHOOK,
        "url": "https://me:hidden@example.com",
        "secret": "hidden",
        "headers": {"authorization": "hidden"},
    }

    good = configured(monkeypatch, secretive, {**NATS, "servers": ["nats://me:hidden@host"]})
    with pytest.raises(ValidationError) as caught:
        configured(monkeypatch, secretive, {**secretive, "concurrency": 0})

    assert "hidden" not in repr(good)
    assert "hidden" not in str(caught.value)
