"""Config references beside what the project has registered under their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore_storage.contract.configs import ConfigRef
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import statement

# Each reference is looked up by number (its own, or its label's) and by digest.
_FIND = statement("""
    SELECT c.config IS NOT NULL, coalesce(numbered.version, 0), coalesce(numbered.digest, ''),
           coalesce(alike.version, 0)
    FROM unnest(CAST(:kinds AS text[]), CAST(:names AS text[]), CAST(:versions AS bigint[]),
                CAST(:digests AS text[]), CAST(:labels AS text[]))
         WITH ORDINALITY AS k(kind, name, version, digest, label, place)
    LEFT JOIN configs c ON c.project = :project AND c.kind = k.kind AND c.name = k.name
    LEFT JOIN config_labels l ON l.config = c.config AND l.label = k.label
    LEFT JOIN config_versions numbered
        ON numbered.config = c.config AND numbered.version = coalesce(l.version, k.version)
    LEFT JOIN config_versions alike ON alike.config = c.config AND alike.digest = k.digest
    ORDER BY k.place
""")


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered: the version of the number or label, and the number of the digest's."""

    is_config: bool
    version: int
    digest: str
    version_of_digest: int


async def find(conn: Connection, project: str, refs: Sequence[ConfigRef]) -> list[Known]:
    """What is known about each reference, in order; as of one moment."""
    found = await conn.execute(
        _FIND,
        {
            "project": project,
            "kinds": [ref.kind for ref in refs],
            "names": [ref.name for ref in refs],
            "versions": [ref.version for ref in refs],
            "digests": [ref.digest for ref in refs],
            "labels": [ref.label for ref in refs],
        },
    )
    return [Known(*row) for row in found]
