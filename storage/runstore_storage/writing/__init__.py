"""Runs written: saved, appended to, resumed, forked, completed."""
