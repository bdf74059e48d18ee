"""Search: events found by the words in them."""
