"""Between protobuf messages and the store's values, by noun; pure functions, after validation."""
