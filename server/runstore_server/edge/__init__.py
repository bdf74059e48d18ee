"""Around every call: request ids, log lines, metrics, statuses of errors; health, reflection."""
