"""Between values and messages; pure functions."""
