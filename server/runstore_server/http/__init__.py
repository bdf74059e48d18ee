"""The read-only HTTP side: JSON, Server-Sent Events, probes and metrics."""
