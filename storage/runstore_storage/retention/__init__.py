"""How long what is kept: policies, what they would let go, and letting it go."""
