"""The order in which committed events are published, and the work done along it."""
