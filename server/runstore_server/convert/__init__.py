"""Between contracts and records, by noun; pure functions. Requests were validated before."""
