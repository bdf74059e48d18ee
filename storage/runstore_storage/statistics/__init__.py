"""Statistics: the usage of events, added up."""
