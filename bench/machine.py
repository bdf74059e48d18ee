"""What figures were measured on: without it they mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
import psutil

SETTINGS = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "commit_delay",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
    "max_connections",
)
PACKAGES = ("runstore", "grpcio", "protobuf", "asyncpg", "sqlalchemy", "uvloop")
ROOT = Path(__file__).parent.parent


async def description(database: asyncpg.Pool, folder: Path) -> dict[str, Any]:
    """The machine, the settings of Postgres that decide what a commit costs, the versions."""
    settings = await database.fetch(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1)", SETTINGS
    )
    return {
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "commit": _commit(),
        "load_average": os.getloadavg()[0],
        "postgres": dict(sorted(map(tuple, settings))),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _file_system(folder: Path) -> str:
    mounts = [each for each in psutil.disk_partitions(all=True) if _holds(each.mountpoint, folder)]
    return max(mounts, key=lambda each: len(each.mountpoint)).fstype if mounts else "unknown"


def _holds(mountpoint: str, folder: Path) -> bool:
    return folder.resolve().is_relative_to(mountpoint)


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
