"""Payloads too large for a row, and where objects are kept."""
