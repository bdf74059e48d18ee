"""The loops behind streaming calls, of gRPC and HTTP: following, and pipelined appends."""
