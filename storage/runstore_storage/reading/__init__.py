"""Runs read back: by page, from their tail, at a seq, and verified."""
