"""runstore dev and runstore serve."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from runstore_migrations import schema
from runstore_storage.embedded.postgres import EmbeddedPostgres

from runstore_server import logs
from runstore_server.app import App, open_store
from runstore_server.cli.environment import database_url, settings_of
from runstore_server.cli.server_failures import exit_on_failure
from runstore_server.cli.workers import supervise
from runstore_server.settings import Settings

# Python's defaults are 700, 10 and 10.
GARBAGE_THRESHOLDS = (10_000, 50, 100)


def _help(setting: str, text: str) -> str:
    """An option's help, with the value that is used without the option."""
    default = str(Settings.model_fields[setting].default)
    return f"{text} Else $RUNSTORE_{setting.upper()}, else {default.lower()}."


Host = Annotated[str | None, typer.Option(help=_help("host", "Address to listen on."))]
Port = Annotated[
    int | None,
    typer.Option(help=_help("port", "Port to listen on; 0 picks a free one."), min=0, max=65535),
]
HttpPort = Annotated[
    int | None,
    typer.Option(
        help=_help("http_port", "Port of the HTTP side; 0 picks a free one."), min=0, max=65535
    ),
]
Http = Annotated[
    bool | None,
    typer.Option("--http/--no-http", help=_help("http", "Serve the read-only HTTP side too.")),
]
DataDir = Annotated[
    Path | None,
    typer.Option(help=_help("data_dir", "Folder of the data; made if it is missing.")),
]
Workers = Annotated[
    int | None,
    typer.Option(help=_help("workers", "Server processes that share the port."), min=1, max=256),
]


def dev(
    data_dir: DataDir = None,
    host: Host = None,
    port: Port = None,
    disposable: Annotated[bool, typer.Option(hidden=True)] = False,
    http_port: HttpPort = None,
    http: Http = None,
) -> None:
    """Serve from an embedded Postgres: nothing to install, nothing to set up.

    The data stays in its folder for the next start. Stop with Ctrl-C. It logs warnings and errors,
    or from RUNSTORE_LOG_LEVEL on.
    """
    settings = settings_of(
        data_dir=data_dir,
        host=host,
        port=port,
        http_port=http_port,
        http=http,
    )
    if disposable:
        _end_with_standard_input()
    own: dict[str, object] = {"database_url": None}
    if "log_level" not in settings.model_fields_set:
        own["log_level"] = "warning"
    _serve_embedded(settings.model_copy(update=own), is_disposable=disposable)


def serve(
    host: Host = None,
    port: Port = None,
    http_port: HttpPort = None,
    http: Http = None,
    workers: Workers = None,
    is_worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Serve from RUNSTORE_DATABASE_URL, which has to be set; `dev` needs no database.

    A database with another release's schema is refused, with the command that migrates it. SIGTERM
    drains: streams end as UNAVAILABLE, calls in flight finish.
    """
    settings = settings_of(host=host, port=port, http_port=http_port, http=http, workers=workers)
    url = database_url(settings)
    with exit_on_failure():
        asyncio.run(schema.check(url, settings.db_schema))
    if settings.workers > 1:
        raise typer.Exit(supervise(settings))
    if is_worker:
        _end_with_standard_input()
    with exit_on_failure():
        _run(settings, url, reuse_port=is_worker)


def _serve_embedded(settings: Settings, *, is_disposable: bool) -> None:
    with exit_on_failure(), ExitStack() as stack:
        if is_disposable and not settings.data_dir.exists():
            stack.callback(shutil.rmtree, settings.data_dir, ignore_errors=True)
        postgres = stack.enter_context(
            EmbeddedPostgres(settings.data_dir, is_disposable=is_disposable)
        )
        asyncio.run(schema.upgrade(postgres.url, settings.db_schema))
        _run(settings, postgres.url, data_dir=settings.data_dir)


def _run(
    settings: Settings, url: str, *, data_dir: Path | None = None, reuse_port: bool = False
) -> None:
    logs.configure(settings)
    uvloop.run(_serve(settings, url, data_dir=data_dir, reuse_port=reuse_port))


async def _serve(settings: Settings, url: str, *, data_dir: Path | None, reuse_port: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    server = App(settings, open_store(settings, url), reuse_port=reuse_port)
    try:
        address = await server.start()
        _collect_less()
        _greet(address, server.http_address, data_dir, has_tls=settings.tls_cert_file is not None)
        await stopping.wait()
    finally:
        await server.drain()


def _collect_less() -> None:
    """Exclude the objects of the start from garbage collection, and collect less often.

    Calls in progress are many young objects that are still in use; scanning them again and again
    took half of the time that appends did. Little of the garbage of calls is cyclic.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _end_with_standard_input() -> None:
    """Stop as on Ctrl-C when standard input ends, as a pipe does when its other process dies."""

    def watch() -> None:
        # Not through sys.stdin: a thread that waits in its lock aborts the interpreter's end.
        while os.read(sys.stdin.fileno(), 1 << 10):
            pass
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=watch, name="standard input", daemon=True).start()


def _greet(address: str, http_address: str | None, data_dir: Path | None, *, has_tls: bool) -> None:
    typer.echo(f"runstore serves {address}" + (" with TLS" if has_tls else ""))
    if http_address:
        scheme = "https" if has_tls else "http"
        typer.echo(f"reads over {scheme}://{http_address}/api/v1/runs (see /docs)")
    if data_dir:
        typer.echo(f"data in {data_dir.resolve()}")
    if data_dir and not has_tls:
        typer.echo("try:")
        typer.echo(
            f'  grpcurl -plaintext -d \'{{"objective": "first run"}}\' {address}'
            " runstore.v1.RunService/SaveRun"
        )
        typer.echo(f"  runstore runs ls --target {address}")
