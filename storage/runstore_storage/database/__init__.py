"""How Postgres is reached; nothing here knows what a run is."""
