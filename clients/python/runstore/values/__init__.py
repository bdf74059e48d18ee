"""The values of the client: frozen, typed, free of protobuf."""
