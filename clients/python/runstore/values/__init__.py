"""The values of the client, a module a noun: frozen, typed, free of protobuf.

Times are UTC-aware datetimes, durations are timedeltas, hashes are 32 bytes.
"""
