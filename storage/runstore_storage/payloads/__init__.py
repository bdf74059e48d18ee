"""Payloads: how content is compressed, offloaded when large, and kept in an object store."""
