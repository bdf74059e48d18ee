"""The RPCs, by noun: a message in, one method of the store, a message out."""
