"""Work on the feed that one process at a time does: publishing, counting, indexing, sinks."""
