# Generated from langgraph/aio/__init__.py; see generate_sync.py.
"""The synchronous half of a saver."""
