"""The server as a whole: it binds, serves and drains."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from runstore_storage.contract.store import Store
from runstore_storage.payloads.offloading import LargePayloads
from runstore_storage.postgres import PostgresStore

from runstore_server.edge import reflection
from runstore_server.edge.admission import Admission
from runstore_server.edge.connections import CONNECTION_AGE, connection_options
from runstore_server.edge.health import Health
from runstore_server.edge.identity import Anybody, Callers, CannotKnowCallers
from runstore_server.edge.interceptors import Calls
from runstore_server.edge.lifecycle import Lifecycle
from runstore_server.edge.listening import CannotBind, Exposed, is_loopback
from runstore_server.edge.metrics import Metrics
from runstore_server.edge.quotas import Quotas
from runstore_server.edge.requests import READING_OPTIONS
from runstore_server.edge.unread import Unread
from runstore_server.identity.callers import KnownCallers, Tokens
from runstore_server.identity.certificates import CertificateSubjects, names_of
from runstore_server.relay.ending import end
from runstore_server.relay.relay import relay_of
from runstore_server.services.acts import Acts
from runstore_server.services.admin_service import admin_service
from runstore_server.services.serving import SERVICES, add_services
from runstore_server.settings import Settings

if TYPE_CHECKING:
    from runstore_server.edge.tls import Certificates
    from runstore_server.http.server import HttpServer
    from runstore_server.identity.jwt_tokens import JwtBearers

# gRPC's own limit is above ours, so that a request too large for us gets our status and details.
# gRPC refuses anything beyond its limit without them.
HARD_LIMIT_FACTOR = 2
MAX_GRPC_OPTION = 2**31 - 1

_log = structlog.get_logger(__name__)


def open_store(settings: Settings, url: str) -> PostgresStore:
    """The store that the settings describe; `url` is the database's."""
    return PostgresStore(
        url,
        schema=settings.db_schema,
        pool_size=settings.pool_size,
        append_lanes=settings.append_lanes,
        poll_interval=settings.poll_interval,
        objects_url=settings.objects_location,
        archive_url=settings.archive_url or "",
        consumer_idle=timedelta(days=settings.consumer_idle_days),
        large_payloads=LargePayloads(
            settings.payload_inline_bytes, to_objects=settings.large_payloads == "objects"
        ),
    )


class App:
    """One server process over one store: gRPC, and HTTP unless the settings turn it off."""

    def __init__(self, settings: Settings, store: Store, *, reuse_port: bool = False) -> None:
        _refuse_exposure(settings)
        self._settings = settings
        self._store = store
        self._lifecycle = Lifecycle()
        self._health = Health(store, SERVICES)
        self.relay = relay_of(settings, store)
        self._metrics = Metrics()
        self._metrics.watch(self.relay.workers, self.relay.buried)
        self._metrics.show_health(self._is_ready, lambda: len(self._health.warnings))
        unread = Unread(settings.unread_bytes)
        acts = Acts(store.admin)
        admin = admin_service(
            store, acts, unread, consumer_idle=timedelta(days=settings.consumer_idle_days)
        )
        self._tokens = tokens = _tokens(settings, store)
        self._bearers = bearers = _bearers(settings, tokens)
        if bearers:
            self._metrics.show_key_ages(bearers.ages)
        self._quotas = Quotas(self._metrics.quota_refused)
        self._admission = Admission(
            self._metrics,
            _callers(settings, tokens, bearers),
            names_of=names_of if settings.tls_grants else None,
            record_refusal=acts.record_refusal,
            quotas=self._quotas,
            audit_reads=settings.audit_reads,
        )
        self._server = _grpc_server(
            settings, self._lifecycle, self._metrics, self._admission, reuse_port=reuse_port
        )
        add_services(
            self._server,
            store,
            admin,
            self._lifecycle,
            unread,
            self._admission,
            default_heartbeat=settings.heartbeat_seconds,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, self._server)
        if settings.reflection:
            reflection.enable((*SERVICES, HEALTH_SERVICE), self._server)
        self._certificates = certificates = _certificates(settings)
        if certificates:
            self._metrics.show_expiry(lambda: certificates.expires_at)
        self._following: list[asyncio.Task[None]] = []
        self._http, self._ops = self._listeners(unread, reuse_port=reuse_port)
        self.http_address: str | None = None
        """The address of the HTTP API once the server has started; None if it is off."""
        self.ops_address: str | None = None
        """That of the listener for operators; None if there is none."""

    def _is_ready(self) -> bool:
        return self._health.is_serving and not self._lifecycle.draining.is_set()

    def _listeners(
        self, unread: Unread, *, reuse_port: bool
    ) -> tuple[HttpServer | None, HttpServer | None]:
        """What serves the HTTP API, and what serves operators, as far as they are asked for."""
        settings, http, ops = self._settings, None, None
        if not settings.http and settings.ops_port is None:
            return None, None
        # Imported here: they take a third of a second, which commands without a server save.
        from runstore_server.http.app import http_app, ops_app  # noqa: PLC0415 - see above
        from runstore_server.http.server import HttpServer  # noqa: PLC0415 - see above

        listener = partial(
            HttpServer,
            patience=settings.http_timeout_seconds,
            most_connections=settings.http_connections,
            reuse_port=reuse_port,
        )
        known = self._store, self._health, self._lifecycle, self._metrics
        if settings.http:
            tls = self._certificates.for_http() if self._certificates else None
            host = settings.http_host or settings.host
            http = listener(
                http_app(settings, *known, unread, self._admission),
                host,
                settings.http_port,
                tls=tls,
            )
        if settings.ops_port is not None:
            host = settings.ops_host or settings.host
            ops = listener(ops_app(*known), host, settings.ops_port)
        return http, ops

    async def start(self) -> str:
        """Bind, serve, and return the address gRPC clients connect to."""
        host, wanted = self._settings.host, self._settings.port
        try:
            port = self._bind(f"{host}:{wanted}")
        except RuntimeError as error:
            raise CannotBind(host, wanted) from error
        self.http_address = self._http.bind() if self._http else None
        self.ops_address = self._ops.bind() if self._ops else None
        await self._health.start()
        await self._store.look_for_seal()
        await self._server.start()
        for each in (self._http, self._ops):
            if each:
                await each.start()
        followed = self._certificates, self._tokens, self._bearers
        self._following = [
            asyncio.create_task(self._quotas.follow(self._store.admin)),
            asyncio.create_task(self._store.follow_seal()),
            *(asyncio.create_task(each.follow()) for each in followed if each),
        ]
        if self._settings.relay:
            self.relay.start()
        _log.info(
            "serving",
            address=f"{host}:{port}",
            http_address=self.http_address,
            ops_address=self.ops_address,
        )
        return f"{host}:{port}"

    def _bind(self, address: str) -> int:
        if self._certificates:
            return self._server.add_secure_port(address, self._certificates.for_grpc())
        return self._server.add_insecure_port(address)

    async def drain(self) -> None:
        """End streams, over gRPC as UNAVAILABLE; let other calls finish and publish their events;
        close the store.
        """
        _log.info("draining")
        for following in self._following:
            following.cancel()
        await self._health.stop()
        if self._http:
            self._http.refuse_more()  # before streams end, so that clients reconnect elsewhere
        self._lifecycle.draining.set()
        self._store.wake_all()
        grace = self._settings.drain_seconds
        listeners = [each.stop(grace) for each in (self._http, self._ops) if each]
        await asyncio.gather(self._server.stop(grace), *listeners)
        if self._tokens:
            await self._tokens.leave()
        await end(self.relay, self._store, grace)
        _log.info("drained")


def _refuse_exposure(settings: Settings) -> None:
    """Raise `Exposed` for an address beyond this host without both TLS and known callers."""
    if settings.allow_insecure or (settings.tls_cert_file and settings.auth == "required"):
        return
    hosts = (
        [settings.host, settings.http_host or settings.host] if settings.http else [settings.host]
    )
    for host in hosts:
        if not is_loopback(host):
            raise Exposed(host)


def _certificates(settings: Settings) -> Certificates | None:
    """What is served with; None for plaintext."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    # Imported here: it takes a tenth of a second, which servers without TLS save.
    from runstore_server.edge.tls import Certificates, TlsFiles  # noqa: PLC0415 - see above

    return Certificates(
        TlsFiles(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
    )


def _tokens(settings: Settings, store: Store) -> Tokens | None:
    """The callers' tokens; None where nobody is asked for one."""
    return Tokens(store.admin) if settings.auth == "required" else None


def _bearers(settings: Settings, tokens: Tokens | None) -> JwtBearers | None:
    """The callers by tokens of other issuers; None where there is no issuer."""
    if tokens is None or not settings.jwt_issuers:
        return None
    # Imported here: it takes a twentieth of a second, which servers without issuers save.
    from runstore_server.identity.jwt_tokens import JwtBearers  # noqa: PLC0415 - see above

    return JwtBearers(settings.jwt_issuers, withdrawn=tokens.changed.wake)


def _callers(settings: Settings, tokens: Tokens | None, bearers: JwtBearers | None) -> Callers:
    """Raise `CannotKnowCallers` if there are grants for certificates, and no client shows one."""
    if tokens is None:
        return Anybody()
    if settings.tls_grants and not settings.tls_client_ca_file:
        raise CannotKnowCallers("RUNSTORE_TLS_GRANTS needs RUNSTORE_TLS_CLIENT_CA_FILE")
    subjects = CertificateSubjects(settings.tls_grants) if settings.tls_grants else None
    return KnownCallers(tokens, others=bearers, subjects=subjects)


def _grpc_server(
    settings: Settings,
    lifecycle: Lifecycle,
    metrics: Metrics,
    admission: Admission,
    *,
    reuse_port: bool,
) -> grpc.aio.Server:
    limit = settings.max_request_bytes
    return grpc.aio.server(
        interceptors=[
            Calls(
                lifecycle,
                max_request_bytes=limit,
                connection_streams=settings.connection_streams,
                metrics=metrics,
                admission=admission,
            )
        ],
        options=[
            ("grpc.so_reuseport", int(reuse_port)),
            ("grpc.max_receive_message_length", min(limit * HARD_LIMIT_FACTOR, MAX_GRPC_OPTION)),
            ("grpc.max_send_message_length", -1),
            *READING_OPTIONS,
            *connection_options(
                streams=settings.connection_streams, keepalive_seconds=settings.keepalive_seconds
            ),
            *(CONNECTION_AGE if settings.tls_cert_file else ()),
        ],
    )
