"""Removing for good, and the ledger of what was removed."""
