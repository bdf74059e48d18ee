"""runstore's schema and its versions, by Alembic. Use it through `schema`."""
