"""Erasing what events said, while their places in the chain stay."""
