"""What requests ask for, a module a noun.

Parameters become the request of the RPC that does the same, and are checked by its rules; a
violation is reported under the name of the parameter.
"""
