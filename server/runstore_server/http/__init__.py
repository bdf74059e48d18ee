"""The read-only side over HTTP: JSON, Server-Sent Events, and what operators ask of a server."""
