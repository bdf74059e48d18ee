"""The fixtures of a server that asks who calls."""

from server.access.guarded import guarded, make_token

__all__ = ["guarded", "make_token"]
