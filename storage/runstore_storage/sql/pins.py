"""Config references beside what the project has registered under their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runstore_storage.contract.configs import ConfigRef
from runstore_storage.database.connection import Connection
from runstore_storage.database.statements import tenant

# Each reference is looked up by number (its own, or its label's) and by digest.
_FIND = tenant("""
    SELECT c.config IS NOT NULL AS is_config,
           coalesce(numbered.version, 0) AS version, coalesce(numbered.digest, '') AS digest,
           coalesce(alike.version, 0) AS version_of_digest
    FROM unnest(:kinds::text[], :names::text[], :versions::bigint[], :digests::text[],
                :labels::text[])
         WITH ORDINALITY AS asked(kind, name, version, digest, label, number)
    LEFT JOIN configs c ON c.project = :project AND c.project = :scope
        AND c.kind = asked.kind AND c.name = asked.name
    LEFT JOIN config_labels l ON l.config = c.config AND l.label = asked.label
    LEFT JOIN config_versions numbered
        ON numbered.config = c.config AND numbered.version = coalesce(l.version, asked.version)
    LEFT JOIN config_versions alike ON alike.config = c.config AND alike.digest = asked.digest
    ORDER BY asked.number
""")


@dataclass(frozen=True, slots=True)
class Registered:
    """What a config reference finds: whether the config exists, the version of the reference's
    number or label with its digest, and the version that has the reference's digest.

    Versions are 0 and digests empty where nothing is found.
    """

    is_config: bool
    version: int
    digest: str
    version_of_digest: int


async def find(conn: Connection, project: str, refs: Sequence[ConfigRef]) -> list[Registered]:
    """What each reference finds, in order; as of one moment."""
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
    return [Registered(**row) for row in found]
