"""Streams that the client keeps whole. No I/O happens here; both clients drive it."""
