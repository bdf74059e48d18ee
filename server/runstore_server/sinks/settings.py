"""Settings of sinks; RUNSTORE_SINKS is a JSON list of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FilePath, HttpUrl, SecretStr, field_validator

from runstore_server.sinks.signing import signing_key
from runstore_server.validation.bounds import NAME_PATTERN

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_OUR_HEADERS = frozenset(
    {"content-type", "content-length", "transfer-encoding", "host", "connection", "accept-encoding"}
)
NatsUrl = Annotated[str, Field(pattern=r"^(nats|tls|ws|wss)://\S+$")]


class _Common(BaseModel):
    """Settings of every sink: its name, and which events of the feed it receives."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(
        pattern=r"^[a-z0-9-]{1,50}$",
        description="Names the sink's position and dead letters; never give it to another sink.",
    )
    project: str | None = Field(
        default=None,
        pattern=f"^{NAME_PATTERN.pattern}$",
        description="Only this project; unset means all.",
    )
    types: tuple[str, ...] = Field(default=(), description="Only events of any of these types.")
    tags: tuple[str, ...] = Field(default=(), description="Only events with all of these tags.")
    labels: Mapping[str, str] = Field(
        default={}, description="Only runs with all of these labels at birth."
    )


class NatsSinkSettings(_Common):
    """A NATS JetStream stream."""

    kind: Literal["nats"]
    servers: tuple[NatsUrl, ...] = Field(
        default=("nats://127.0.0.1:4222",),
        min_length=1,
        repr=False,
        description="Connect to any of these.",
    )
    credentials: FilePath | None = Field(
        default=None, description="Credentials file, with JWT and seed."
    )
    stream: str = Field(
        default="RUNSTORE",
        pattern=r"^[A-Za-z0-9_-]{1,200}$",
        description="Stream that stores events.",
    )
    subject_prefix: str = Field(
        default="runstore",
        max_length=100,
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        description="Tokens that every subject begins with.",
    )
    create_stream: bool = Field(default=True, description="Create the stream if it is missing.")
    duplicate_window_seconds: float = Field(
        default=600,
        ge=1,
        le=86400,
        description="How long a stream that the sink creates recognises duplicates.",
    )


class WebhookSinkSettings(_Common):
    """An HTTP endpoint that accepts CloudEvents."""

    kind: Literal["webhook"]
    url: HttpUrl = Field(repr=False, description="Where events are posted to.")
    secret: SecretStr | None = Field(
        default=None,
        description="Signs requests: whsec_<base64>, or any text. Unset: no signature.",
    )
    timeout_seconds: float = Field(
        default=10, gt=0, le=600, description="Longest wait for a response, including connecting."
    )
    max_attempts: int = Field(
        default=10, ge=1, description="Attempts after which an event goes to the dead letters."
    )
    concurrency: int = Field(default=8, ge=1, le=256, description="Requests at once.")
    headers: Mapping[str, SecretStr] = Field(default={}, description="Added to every request.")

    @field_validator("secret")
    @classmethod
    def _is_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid header name")
            if name.lower() in _OUR_HEADERS or name.lower().startswith("webhook-"):
                raise ValueError(f"the header {name} is set by the sink and cannot be configured")
            text = value.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"the value of the header {name} is not printable ASCII")
        return headers


SinkSettings = Annotated[NatsSinkSettings | WebhookSinkSettings, Field(discriminator="kind")]


def repeated_names(sinks: Iterable[SinkSettings]) -> list[str]:
    """The names that more than one of the sinks has, sorted."""
    names = [sink.name for sink in sinks]
    return sorted({name for name in names if names.count(name) > 1})
