"""Real proxies between clients and servers, configured as docs/proxies.md shows."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from e2e.documents import blocks
from e2e.servers import ServerProcess
from field.programs import installed, started
from ports import reserved_port

PAGE = Path(__file__).parents[2] / "docs" / "proxies.md"

# What a package's nginx.conf brings around the blocks of the page.
NGINX_MAIN = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
# What nginx limits where only the pass is configured.
NGINX_UNCONFIGURED = """
server {
  listen 8411 http2;
  location / { grpc_pass grpc://127.0.0.1:7411; }
}
server {
  listen 8412;
  location / { proxy_pass http://127.0.0.1:7412; }
  location /runstore/ { proxy_pass http://127.0.0.1:7412/; }
}
"""


def shown(language: str) -> list[str]:
    """The blocks of that language on the page."""
    return [text for name, text in blocks(PAGE) if name == language]


def nginx_configured() -> str:
    """The servers of the page, with its prefix added to the one of the HTTP API."""
    servers, prefix = shown("nginx")
    assert "listen 8412;" in servers
    return servers.replace("listen 8412;", f"listen 8412;\n{prefix}")


class _Proxy:
    """A proxy's process, with a port for gRPC and one for HTTP in front of a server."""

    program: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port, self.http_port = reserved_port(), reserved_port()
        self.target = f"127.0.0.1:{self.port}"
        self.http_target = f"http://127.0.0.1:{self.http_port}"
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, *command: str) -> None:
        program = installed(self.program)
        self._process = started([program, *command], self.folder / "output.log", self.port)

    def _here(self, config: str, server: ServerProcess) -> str:
        """The configuration with the addresses of this proxy and of the server behind it."""
        for page, here in (
            ("127.0.0.1:7411", server.target),
            ("127.0.0.1:7412", f"127.0.0.1:{server.http_port}"),
            ("check port 7412", f"check port {server.http_port}"),
            ("listen 8411", f"listen {self.target}"),
            ("listen 8412", f"listen 127.0.0.1:{self.http_port}"),
            ("bind :8411", f"bind {self.target}"),
            ("bind :8412", f"bind 127.0.0.1:{self.http_port}"),
        ):
            config = config.replace(page, here)
        return config

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)


class Nginx(_Proxy):
    program = "nginx"

    def start(self, server: ServerProcess, *, is_configured: bool = True) -> None:
        """Stand before the server, configured as the page shows or with nginx's own limits."""
        servers = nginx_configured() if is_configured else NGINX_UNCONFIGURED
        config = self.folder / "nginx.conf"
        config.write_text(
            NGINX_MAIN.format(folder=self.folder, servers=self._here(servers, server))
        )
        self._start("-p", str(self.folder), "-c", str(config))


class HaProxy(_Proxy):
    program = "haproxy"

    def start(self, server: ServerProcess) -> None:
        """Stand before the server."""
        (shows,) = shown("haproxy")
        config = self.folder / "haproxy.cfg"
        config.write_text(self._here(shows, server))
        self._start("-f", str(config), "-db")
