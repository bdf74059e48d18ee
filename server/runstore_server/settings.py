"""Settings, read once from the environment and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runstore_server.identity.certificates import CertificateName
from runstore_server.identity.grants import ConfiguredGrant
from runstore_server.identity.issuers import IssuerSettings, repeated_issuers
from runstore_server.sinks.settings import SinkSettings, repeated_names

# What says who callers are, and so has no place where nobody asks.
AUTH_SETTINGS = ("jwt_issuers", "tls_grants")

T = TypeVar("T")


class Settings(BaseSettings):
    """Every setting but the database's URL has a working default.

    Its variable is RUNSTORE_ and its name in capitals.
    """

    model_config = SettingsConfigDict(
        env_prefix="RUNSTORE_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # sinks have secrets
    )

    database_url: str | None = Field(
        default=None,
        description="URL of the Postgres to use, postgresql://...; only `runstore dev`, which"
        " starts one by itself, does without.",
    )
    database_owner_url: str | None = Field(
        default=None,
        description="The same database's URL for the role that owns the schema, which `runstore"
        " migrate` and the `rebuild` commands use; if unset, RUNSTORE_DATABASE_URL. Servers need"
        " none.",
    )
    db_schema: str = Field(
        default="runstore",
        min_length=1,
        max_length=63,
        description="Postgres schema that holds everything runstore keeps.",
    )
    data_dir: Path = Field(
        default=Path(".runstore"),
        description="Folder of the Postgres of `runstore dev`, and of objects if"
        " RUNSTORE_OBJECTS_URL is unset.",
    )
    objects_url: str | None = Field(
        default=None,
        description="Where artifacts' bytes are stored: file:///folder, s3://bucket/prefix,"
        " gs://... or az://..., configured by those stores' usual variables (AWS_REGION, ...); if"
        " unset, the folder `objects` in RUNSTORE_DATA_DIR. All processes of one database need the"
        " same value.",
    )
    archive_url: str | None = Field(
        default=None,
        description="Where archived runs are stored, likewise; if unset, with artifacts' bytes."
        " What was archived under another value is not found.",
    )
    payload_inline_bytes: int = Field(
        default=1 << 20,
        ge=1 << 10,
        description="Larger payloads of events and outputs are stored outside their rows.",
    )
    large_payloads: Literal["postgres", "objects"] = Field(
        default="postgres",
        description="Where those payloads are stored: in a table of blobs, or in the object store.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=7411, ge=0, le=65535, description="Port to listen on; 0 picks a free one."
    )
    http: bool = Field(default=True, description="Whether to serve the read-only HTTP API.")
    http_host: str | None = Field(
        default=None,
        description="Address the HTTP API listens on; if unset, RUNSTORE_HOST.",
    )
    http_port: int = Field(
        default=7412, ge=0, le=65535, description="Port of the HTTP API; 0 picks a free one."
    )
    http_connections: int = Field(
        default=1000,
        ge=1,
        description="HTTP connections of a process, streams among them; another gets a 503.",
    )
    http_timeout_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=3600,
        description="Seconds that an HTTP client may take to send a request's head, or may read"
        " nothing while more waits to be read; then its connection is closed.",
    )
    http_cors_origins: tuple[str, ...] = Field(
        default=(),
        description='Origins whose pages may use the HTTP API, as JSON: ["https://a.example"].',
    )
    tls_cert_file: Path | None = Field(
        default=None,
        description="PEM file of the certificate, with those between it and its CA, that gRPC and"
        " HTTP are served with; read again within ten seconds of a change. Unset: plaintext.",
    )
    tls_key_file: Path | None = Field(
        default=None,
        validate_default=True,
        description="PEM file of that certificate's key, not encrypted.",
    )
    tls_client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the CA that clients' certificates must be of; then every client"
        " must show one. Unset: clients show none.",
    )
    ops_host: str | None = Field(
        default=None,
        description="Address that RUNSTORE_OPS_PORT is on; if unset, RUNSTORE_HOST.",
    )
    ops_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port of a listener of /livez, /readyz and /metrics alone, in plain text,"
        " whatever the other ports ask of clients; 0 picks a free one. Unset: there is none.",
    )
    auth: Literal["off", "required"] = Field(
        default="off",
        description="Whether every call must show who makes it, by a token of `runstore tokens` or"
        " as the next two settings say; off lets everybody do everything.",
    )
    jwt_issuers: tuple[IssuerSettings, ...] = Field(
        default=(),
        description="Issuers of JSON Web Tokens that callers may show: a JSON list, see"
        " docs/security.md.",
    )
    tls_grants: Mapping[CertificateName, tuple[ConfiguredGrant, ...]] = Field(
        default={},
        description="What callers may do by a name in their certificate, a SPIFFE id or a DNS name,"
        ' if they show no token: {"agent.example.com": ["writer@acme/*"]}.',
    )
    audit_reads: bool = Field(
        default=False,
        description="Whether each call that reads is logged with its caller; those that change who"
        " may do what are recorded anyway.",
    )
    allow_insecure: bool = Field(
        default=False,
        description="Whether to serve other hosts than this one without both TLS and RUNSTORE_AUTH,"
        " as is right where something in front sees to them.",
    )
    reflection: bool = Field(
        default=True, description="Whether the server describes its services to grpcurl and others."
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Number of server processes on the port."
    )
    max_request_bytes: int = Field(
        default=16 << 20,
        ge=1 << 10,
        le=512 << 20,
        description="Largest request message accepted; larger ones are MESSAGE_TOO_LARGE.",
    )
    connection_streams: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Streams that one gRPC connection may have open; another is OVERLOADED.",
    )
    unread_bytes: int = Field(
        default=128 << 20,
        ge=1 << 20,
        description="Bytes of all streams of a process that clients have not read, in memory up to"
        " twice; a stream that finds no room is OVERLOADED.",
    )
    keepalive_seconds: float = Field(
        default=20.0,
        ge=0.1,
        le=86_400,
        description="Seconds of silence after which the server asks whether a gRPC client is still"
        " there; as long again without an answer, at most ten seconds, ends its calls.",
    )
    heartbeat_seconds: float = Field(
        default=15.0,
        ge=0.1,
        le=3600,
        description="Seconds without events before a stream sends a heartbeat, unless its request"
        " sets another interval.",
    )
    drain_seconds: float = Field(
        default=10.0,
        ge=0,
        description="Seconds that calls in flight may take to finish when the server stops.",
    )
    poll_interval: float = Field(
        default=2.0,
        gt=0,
        description="Seconds between polls of the database, which make up for lost wake-ups.",
    )
    relay: bool = Field(
        default=True,
        description="Whether this process may publish, count, index and deliver events; servers"
        " need not if `runstore relay` runs.",
    )
    retention: bool = Field(
        default=True,
        description="Whether this process may apply policies of retention, where it may publish.",
    )
    retention_interval: float = Field(
        default=3600.0,
        ge=1,
        le=30 * 86_400,
        description="Seconds between two passes over what policies let go.",
    )
    consumer_idle_days: float = Field(
        default=30.0,
        gt=0,
        le=3650,
        description="Days after which a consumer or a sink that has read nothing more no longer"
        " keeps runs that policies let go, nor events from being archived.",
    )
    pool_size: int = Field(default=10, ge=4, description="Postgres connections of each process.")
    append_lanes: int = Field(
        default=1, ge=1, description="Batches of appends that are committed concurrently."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto means console on a terminal and json elsewhere."
    )
    sinks: tuple[SinkSettings, ...] = Field(
        default=(),
        description="Sinks that the feed is delivered to: a JSON list, see docs/sinks.md.",
    )

    @field_validator("sinks")
    @classmethod
    def _have_unique_names(cls, sinks: tuple[SinkSettings, ...]) -> tuple[SinkSettings, ...]:
        if repeated := repeated_names(sinks):
            raise ValueError(f"several sinks are named {', '.join(repeated)}")
        return sinks

    @field_validator("jwt_issuers")
    @classmethod
    def _are_unique(cls, issuers: tuple[IssuerSettings, ...]) -> tuple[IssuerSettings, ...]:
        if repeated := repeated_issuers(issuers):
            raise ValueError(f"several are of the issuer {', '.join(repeated)}")
        return issuers

    @field_validator(*AUTH_SETTINGS)
    @classmethod
    def _has_no_place_where_nobody_asks(cls, value: T, info: ValidationInfo) -> T:
        if value and info.data.get("auth") == "off":
            raise ValueError("needs RUNSTORE_AUTH=required")
        return value

    @field_validator("tls_key_file")
    @classmethod
    def _comes_with_a_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_cert_file") is None):
            raise ValueError("must be set if RUNSTORE_TLS_CERT_FILE is, and only then")
        return key

    @field_validator("tls_client_ca_file")
    @classmethod
    def _needs_a_certificate(cls, ca: Path | None, info: ValidationInfo) -> Path | None:
        if ca and not info.data.get("tls_cert_file"):
            raise ValueError("needs RUNSTORE_TLS_CERT_FILE and RUNSTORE_TLS_KEY_FILE")
        return ca

    @property
    def objects_location(self) -> str:
        """The URL of the object store, set or default."""
        return self.objects_url or (self.data_dir / "objects").absolute().as_uri()
