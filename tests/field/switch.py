"""A TCP proxy whose backend can be changed, cut, or made to fall silent without a word."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

BUFFER_BYTES = 1 << 16


class TcpSwitch:
    """Forwards connections to the port it points at; those that are open stay where they are."""

    def __init__(self, port: int) -> None:
        self.target = port
        self._muted: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._silent = threading.Event()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def point_to(self, port: int) -> None:
        """Send new connections to another port."""
        self.target = port

    def cut(self) -> None:
        """Close every open connection."""
        with self._lock:
            ends = [*self._pairs]
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Keep open connections open and forward nothing on them any more, in either direction.

        Connections made afterwards work: it is the old path that is gone, without a reset.
        """
        with self._lock:
            self._muted = set(self._pairs)
        self._silent.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs[near], self._pairs[far] = far, near
            thread = threading.Thread(target=self._forward, args=(near, far), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, selectors.DefaultSelector() as waiting:
            waiting.register(near, selectors.EVENT_READ, far)
            waiting.register(far, selectors.EVENT_READ, near)
            try:
                while not self._closed.is_set():
                    for key, _ in waiting.select(timeout=0.2):
                        data = key.fileobj.recv(BUFFER_BYTES)  # type: ignore[union-attr]  # sockets only
                        if not data:
                            return
                        if not (self._silent.is_set() and near in self._muted):
                            key.data.sendall(data)
            except OSError:
                return
            finally:
                with self._lock:
                    self._pairs.pop(near, None)
                    self._pairs.pop(far, None)
