"""The fixtures of a server that asks who calls."""

from server.access.guarded import channel, guarded, make_token

__all__ = ["channel", "guarded", "make_token"]
