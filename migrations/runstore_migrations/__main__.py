"""Write schema.sql from the migrations, or check that it is up to date."""

import sys

from runstore_migrations.schema import SCHEMA_SQL, schema_sql

USAGE = "usage: python -m runstore_migrations write-schema-sql | check-schema-sql"


def main(arguments: list[str]) -> str | None:
    """Run a command; return None if it succeeded, otherwise a message."""
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
