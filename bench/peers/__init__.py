"""Others who do the like, installed as their users install them."""
