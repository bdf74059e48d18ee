"""Tables and lines for people, a module a noun."""
