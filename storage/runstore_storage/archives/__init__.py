"""Archives: a run as files that hold all of it, and by which it is verified without a server."""
