"""Snapshots: what is stored of them, and how they are put, read and deleted."""
