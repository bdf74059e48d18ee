"""From records to JSON values, by noun; pure functions.

Enums are lower-case names, times RFC 3339 in UTC, hashes hex. Payloads are spliced in as stored.
"""
