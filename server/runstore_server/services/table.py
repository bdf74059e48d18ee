"""A service as a table: each RPC of the contract is the method of one noun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor import FileDescriptor


def service_of(file: FileDescriptor, name: str, nouns: tuple[object, ...]) -> SimpleNamespace:
    """The service of this name in a file of the contract."""
    rpcs = file.services_by_name[name].methods_by_name
    return SimpleNamespace(**{rpc: _method(nouns, rpc) for rpc in rpcs})


def _method(nouns: tuple[object, ...], rpc: str) -> Any:
    """The one method of this name; an RPC that no noun or several have is a defect."""
    (method,) = [getattr(noun, rpc) for noun in nouns if hasattr(noun, rpc)]
    return method
