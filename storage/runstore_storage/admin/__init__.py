"""Tokens, limits, and the records of what was done about them."""
