"""How long pages are where a request does not say; the bounds are `PAGE` and `LONG_PAGE`."""

DEFAULT_PAGE = 20
DEFAULT_LONG_PAGE = 100
