"""Every unary call as a value: which RPC, what request, what its answer means."""
