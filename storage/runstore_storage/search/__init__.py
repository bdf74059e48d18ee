"""Events found by the words in them."""
