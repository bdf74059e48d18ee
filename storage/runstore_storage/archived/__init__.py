"""Archived events, read from the object store."""
