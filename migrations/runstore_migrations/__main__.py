"""Keep schema.sql what the migrations make of it: write it, or check that it is."""

import sys

from runstore_migrations.schema import SCHEMA_SQL, schema_sql

USAGE = "usage: python -m runstore_migrations write-schema-sql | check-schema-sql"


def main(arguments: list[str]) -> str | None:
    """None when all is well, otherwise what to say."""
    match arguments:
        case ["write-schema-sql"]:
            SCHEMA_SQL.write_text(schema_sql())
            return None
        case ["check-schema-sql"]:
            if SCHEMA_SQL.read_text() == schema_sql():
                return None
            return f"{SCHEMA_SQL.name} is stale: run make schema"
        case _:
            return USAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
