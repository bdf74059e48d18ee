"""Finding out who calls: tokens of our own, those of other issuers, certificates."""
