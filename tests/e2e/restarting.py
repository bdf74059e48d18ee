"""A proxy whose server restarts: it answers 502, then breaks a response off, then answers 502."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BAD_GATEWAY = 502
BROKEN_OFF = 2  # the number of the request
SERVED_FROM = 4


@contextmanager
def restarting_proxy(http_target: str) -> Iterator[tuple[str, list[dict[str, str | None]]]]:
    """Yield its address, and where each request asked to begin.

    The second request gets the first event, the fourth and later ones get everything.
    """
    asked: list[dict[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            last = self.headers.get("Last-Event-ID")
            (from_seq,) = parse_qs(urlsplit(self.path).query)["fromSeq"]
            asked.append({"from_seq": from_seq, "last_event_id": last})
            number = len(asked)
            if number != BROKEN_OFF and number < SERVED_FROM:
                self.send_error(BAD_GATEWAY)
                return
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            request = urllib.request.Request(http_target + self.path, headers=headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                self.send_response(response.status)
                self.send_header("Content-Type", response.headers["Content-Type"])
                self.end_headers()
                for line in response:
                    self.wfile.write(line)
                    if number == BROKEN_OFF and self._is_first_event_over(line):
                        return

        _has_event = False

        def _is_first_event_over(self, line: bytes) -> bool:
            self._has_event = self._has_event or line.startswith(b"id: 1")
            return self._has_event and line == b"\n"

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
