"""Real proxies between clients and servers: nginx and HAProxy, as their documentation has them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from e2e.servers import ServerProcess, free_port
from field.programs import installed, started

NGINX = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} http2;
    {directives}
    location / {{ grpc_pass grpc://127.0.0.1:{grpc}; }}
  }}
  server {{
    listen 127.0.0.1:{http_port};
    location / {{ proxy_pass http://127.0.0.1:{http}; }}
  }}
}}
"""

HAPROXY = """
global
  maxconn 512
defaults
  mode http
  timeout connect 5s
  timeout client {idle}
  timeout server {idle}
frontend grpc
  bind 127.0.0.1:{port} proto h2
  default_backend grpc
backend grpc
  server runstore 127.0.0.1:{grpc} proto h2
frontend http
  bind 127.0.0.1:{http_port}
  default_backend http
backend http
  server runstore 127.0.0.1:{http}
"""


class _Proxy:
    """A proxy's process, with a port for gRPC and one for HTTP in front of a server."""

    program: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.port, self.http_port = free_port(), free_port()
        self.target = f"127.0.0.1:{self.port}"
        self.http_target = f"http://127.0.0.1:{self.http_port}"
        self._process: subprocess.Popen[bytes] | None = None

    def _start(self, *command: str) -> None:
        program = installed(self.program)
        self._process = started([program, *command], self._folder / "output.log", self.port)

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)


class Nginx(_Proxy):
    program = "nginx"

    def start(self, server: ServerProcess, *, directives: str = "") -> None:
        """Stand before the server; `directives` are added to the gRPC side."""
        config = self._folder / "nginx.conf"
        config.write_text(
            NGINX.format(
                folder=self._folder,
                port=self.port,
                http_port=self.http_port,
                grpc=server.port,
                http=server.http_port,
                directives=directives,
            )
        )
        self._start("-p", str(self._folder), "-c", str(config))


class HaProxy(_Proxy):
    program = "haproxy"

    def start(self, server: ServerProcess, *, idle: str = "60s") -> None:
        """Stand before the server; streams without a byte for `idle` are cut."""
        config = self._folder / "haproxy.cfg"
        config.write_text(
            HAPROXY.format(
                port=self.port,
                http_port=self.http_port,
                grpc=server.port,
                http=server.http_port,
                idle=idle,
            )
        )
        self._start("-f", str(config), "-db")
