"""The RPCs, by noun: proto in, one store method, proto out."""
