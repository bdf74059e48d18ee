"""The runstore service: gRPC in front of the store."""
