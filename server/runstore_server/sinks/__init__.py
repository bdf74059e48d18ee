"""Sinks: where the feed is published to the outside. Read `sink.py` first."""
