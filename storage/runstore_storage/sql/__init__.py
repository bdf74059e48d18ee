"""Statements, by noun. Functions take the connection first and never begin, commit or retry."""
