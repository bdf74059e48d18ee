# Generated from aio/__init__.py; see generate_sync.py.
"""The synchronous client."""

from runstore.signatures import show_fields
from runstore.sync.admin import Admin
from runstore.sync.appender import Appender
from runstore.sync.artifacts import Artifacts
from runstore.sync.client import Client, connect
from runstore.sync.configs import Configs
from runstore.sync.feed import Feed
from runstore.sync.run import Resumed, Run

__all__ = [
    "Admin",
    "Artifacts",
    "Client",
    "Configs",
    "Feed",
    "Resumed",
    "Run",
    "connect",
]

show_fields(Appender, Admin, Artifacts, Client, Configs, Feed, Run)
