"""Sinks: receivers outside of runstore that the feed is delivered to. Read `sink.py` first."""
