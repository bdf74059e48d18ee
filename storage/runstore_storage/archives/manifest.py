"""The manifest of an archive: what it is of, and all of its files with their hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import version

from runstore_storage import chain
from runstore_storage.archives import lines
from runstore_storage.archives.collecting import Collected
from runstore_storage.archives.row_files import Entry
from runstore_storage.contract.times import microseconds

NAME = "manifest.json"
FORMAT, VERSION = "runstore.archive", 1


def manifest(found: Collected, entries: Iterable[Entry]) -> bytes:
    """The manifest's bytes. The last member is the SHA-256 of all that is before it."""
    run = found.run
    members = {
        "format": FORMAT,
        "version": VERSION,
        "origin": {"server": f"runstore {version('runstore')}"},
        "project": run.born.project,
        "run_id": run.born.run_id,
        "head": _head(found),
        "lineage": [
            {
                "run_id": of.born.run_id,
                "birth": chain.birth_hash(of.born).hex(),
                "last_seq": part.last_seq,
                "has_events": part.has_events,
            }
            for part, of in found.history
        ],
        "configs": [lines.pin(each) for each in found.pins],
        "holds": [lines.hold(each) for each in found.holds],
        "files": [each.members for each in entries],
    }
    text = json.dumps(members, ensure_ascii=False, indent=1).removesuffix("\n}").encode()
    return text + b',\n "sha256": "' + sha256(text).hexdigest().encode() + b'"\n}\n'


def _head(found: Collected) -> lines.Members:
    run = found.run
    return {
        "last_seq": run.last_seq,
        "last_hash": run.last_hash.hex(),
        "status": run.status.name,
        "outcome": run.outcome.name,
        "writer_epoch": run.writer_epoch,
        "usage": lines.usage(run.usage),
        "created_at": microseconds(run.created_at),
        "updated_at": microseconds(run.updated_at),
        "completed_at": microseconds(run.completed_at) if run.completed_at else None,
    }
