"""Page tokens: opaque to clients, bound to the query they continue."""
