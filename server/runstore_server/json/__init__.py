"""Values in JSON, a module a noun: what the HTTP side answers and what `--json` prints.

The rules (names, enums, times, hashes, payloads) are in docs/http.md, "How values are written". A
function takes the store's value of its noun, the Python client's, or either.
"""
