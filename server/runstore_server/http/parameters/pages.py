"""Where a page of a listing begins."""

from __future__ import annotations

from typing import Annotated

from runstore_server.http.parameters.queries import text
from runstore_server.validation.bounds import TOKEN

PageToken = Annotated[str, text(TOKEN, "`next_page_token` of the page before.")]
