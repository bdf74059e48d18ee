"""Page lengths for requests that give none; `PAGE` and `LONG_PAGE` are the bounds."""

DEFAULT_PAGE = 20
DEFAULT_LONG_PAGE = 100
