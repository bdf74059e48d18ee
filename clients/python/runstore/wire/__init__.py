"""Converts between values and messages, a module a noun; pure functions.

`..._message` makes a message of a value, `..._value` a value of a message.
"""
