"""Requests are checked before the store sees them, by the bounds and rules of each noun."""
