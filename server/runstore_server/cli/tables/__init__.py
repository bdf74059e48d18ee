"""What commands print for people: tables and lines, a module a noun."""
