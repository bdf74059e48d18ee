"""Streams as Server-Sent Events."""
