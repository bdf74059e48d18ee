"""Requests checked before the store sees them: bounds by noun, and whether texts are JSON."""
