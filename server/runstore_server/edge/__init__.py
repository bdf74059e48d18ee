"""Around every call: request ids, log lines, metrics, errors as statuses; health, reflection."""
