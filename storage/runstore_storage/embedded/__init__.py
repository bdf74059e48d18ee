"""A Postgres of one's own, for development and tests."""
