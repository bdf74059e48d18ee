"""Artifacts: named results of runs, whose bytes are in an object store."""
