"""Writing runs: saving, appending, resuming, forking, completing."""
