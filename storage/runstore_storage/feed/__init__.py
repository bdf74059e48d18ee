"""The feed: the order in which committed events are published, and the duties that follow it."""
