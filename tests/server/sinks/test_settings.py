"""Sinks are configured in one variable, and what is wrong with it is said."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError
from runstore_server.settings import Settings
from runstore_server.sinks.jetstream import JetStreamSink
from runstore_server.sinks.opening import open_sink
from runstore_server.sinks.webhook import WebhookSink

NATS = {"kind": "nats", "name": "bus"}
WEBHOOK = {"kind": "webhook", "name": "hook", "url": "https://example.com/in?a=b"}


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
        {"headers": {"Content-Type": "c"}},
        {"headers": {"Webhook-Id": "c"}},
        {"headers": {"a": "b\r\nc: d"}},
        {"concurrency": 0},
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
