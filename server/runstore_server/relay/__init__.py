"""Work on the feed that one process at a time does: publish, count, index, deliver to sinks."""
