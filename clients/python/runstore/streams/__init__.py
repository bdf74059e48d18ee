"""Streams that survive broken connections, a module a noun: what to ask for, what was delivered.

No I/O happens here; both clients drive these.
"""
