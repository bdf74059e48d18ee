"""runstore's schema, by Alembic; `schema` is the way in."""
