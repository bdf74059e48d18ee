"""Settings, read once from the environment and passed down."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runstore_server.sinks.settings import SinkSettings, repeated_names


class Settings(BaseSettings):
    """Every setting has a working default; the variable is its name with RUNSTORE_ before it."""

    model_config = SettingsConfigDict(
        env_prefix="RUNSTORE_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # sinks hold secrets
    )

    database_url: str | None = Field(
        default=None,
        description="Postgres to use, postgresql://...; unset means the embedded one.",
    )
    db_schema: str = Field(
        default="runstore",
        min_length=1,
        max_length=63,
        description="Postgres schema that holds everything runstore keeps.",
    )
    data_dir: Path = Field(
        default=Path(".runstore"), description="Folder of the embedded Postgres."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=7411, ge=0, le=65535, description="Port; 0 picks a free one.")
    http: bool = Field(default=True, description="Whether the read-only HTTP side is served.")
    http_host: str | None = Field(
        default=None, description="Address the HTTP side listens on; unset means host."
    )
    http_port: int = Field(
        default=7412, ge=0, le=65535, description="Port of the HTTP side; 0 picks a free one."
    )
    http_cors_origins: tuple[str, ...] = Field(
        default=(),
        description='Origins whose pages may read over HTTP, as JSON: ["https://a.example"].',
    )
    workers: int = Field(default=1, ge=1, le=256, description="Server processes on the port.")
    max_request_bytes: int = Field(
        default=16 << 20,
        ge=1 << 10,
        le=512 << 20,
        description="Largest request message taken; larger ones are MESSAGE_TOO_LARGE.",
    )
    heartbeat_seconds: float = Field(
        default=15.0,
        ge=0.1,
        le=3600,
        description="Longest silence of a stream that does not ask for another.",
    )
    drain_seconds: float = Field(
        default=10.0, ge=0, description="How long calls in flight may take when the server stops."
    )
    poll_interval: float = Field(
        default=2.0, gt=0, description="Seconds after which a lost wake-up is made good."
    )
    relay: bool = Field(
        default=True,
        description="Whether this process takes its turn at publishing, counting and delivering"
        " events; where `runstore relay` does it, servers need not.",
    )
    pool_size: int = Field(default=10, ge=4, description="Postgres connections per process.")
    append_lanes: int = Field(default=1, ge=1, description="Batches of appends committed at once.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is logged: this level and above."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto is console on a terminal and json elsewhere."
    )
    sinks: tuple[SinkSettings, ...] = Field(
        default=(), description="Where the feed is published to: a JSON list, see docs/sinks.md."
    )

    @field_validator("sinks")
    @classmethod
    def _have_names_of_their_own(cls, sinks: tuple[SinkSettings, ...]) -> tuple[SinkSettings, ...]:
        if repeated := repeated_names(sinks):
            raise ValueError(f"several sinks are named {', '.join(repeated)}")
        return sinks
