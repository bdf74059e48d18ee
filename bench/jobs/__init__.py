"""What the load generators do; each function is a job, and its result is JSON."""
