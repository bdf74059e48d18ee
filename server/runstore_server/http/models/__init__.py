"""The answers as OpenAPI describes them, a module a noun.

Nothing is built from these: payloads are spliced in (`runstore_server.json`).
"""
