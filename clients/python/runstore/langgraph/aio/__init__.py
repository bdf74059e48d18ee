"""The asynchronous half of a saver."""
