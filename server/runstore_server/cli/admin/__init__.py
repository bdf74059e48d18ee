"""runstore admin: who may use a server, how much of it, and what was done about that."""
