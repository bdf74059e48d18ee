"""A store for tests, which has no edge before it: each call may touch the project that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import wraps
from typing import Any

from runstore_storage.contract.heads import RunKey
from runstore_storage.contract.scope import Scope, bound
from runstore_storage.contract.store import Store
from runstore_storage.reading.tails import RunTail, Tails

SYSTEM = {
    *("check", "wake_all", "abandon", "close", "look_for_seal", "follow_seal"),
    *("feed.hold_duty", "feed.advance_duty", "feed.release_duty", "feed.list_duties", "feed.lag"),
    *("feed.publish", "feed.drain", "feed.count_usage", "feed.forget_usage", "feed.read_for_duty"),
    *("feed.sum_stored", "feed.forget_stored"),
    *("feed.bury", "feed.list_dead_letters", "feed.remove_dead_letter", "feed.read_entry"),
    *("search.index_text", "search.forget_text", "search.indexed_position"),
    *("admin.credential_epoch", "admin.find_token", "admin.note_use", "admin.list_projects"),
    *("admin.all_limits", "admin.stored_bytes"),
    *("admin.record_refusal", "removals.remove", "retention.retain"),
    *("archives.archive", "erasures.erase", "erasures.clean_up"),
    "ledger.entries",
}
"""The methods that are no call's of a project: the server's own work, and what precedes a scope."""

Method = Callable[..., Any]


def nouns() -> Iterator[tuple[str, type]]:
    """The nouns that the store has properties for, with their contracts."""
    for name, value in inspect.getmembers(Store):
        if isinstance(value, property) and value.fget:
            noun = inspect.signature(value.fget, eval_str=True).return_annotation
            if noun.__module__.startswith("runstore_storage."):
                yield name, noun


def methods() -> Iterator[tuple[str, Method]]:
    """The methods of the store's contract by their names, which begin with their noun."""
    yield from _of(Store, "")
    for name, noun in nouns():
        yield from _of(noun, f"{name}.")


def _of(contract: type, prefix: str) -> Iterator[tuple[str, Method]]:
    for name, method in inspect.getmembers(contract, inspect.isfunction):
        if not name.startswith("_"):
            yield prefix + name, method


def bound_to_arguments(store: object, noun: str = "") -> None:
    """Have each method of a store, or of one of its nouns, bind the project of its arguments."""
    for name, declared in methods():
        *of, method = name.split(".")
        if name in SYSTEM or (noun and of != [noun]):
            continue
        owner = store if noun or not of else getattr(store, of[0])
        setattr(owner, method, _binding(getattr(owner, method), inspect.signature(declared)))


def tail_of(tails: Tails, key: RunKey) -> AbstractAsyncContextManager[RunTail]:
    """Open a run's tail as a call that may touch the run does."""
    with bound(Scope(key.project)):
        return tails.open(key)


def _binding(method: Method, signature: inspect.Signature) -> Method:
    def project_of(args: Any, kwargs: Any) -> str:
        return project_in(signature.bind(None, *args, **kwargs).arguments)

    if not inspect.iscoroutinefunction(method):

        @wraps(method)
        def opened(*args: Any, **kwargs: Any) -> Any:
            with bound(Scope(project_of(args, kwargs))):
                return method(*args, **kwargs)

        return opened

    @wraps(method)
    async def called(*args: Any, **kwargs: Any) -> Any:
        with bound(Scope(project_of(args, kwargs))):
            return await method(*args, **kwargs)

    return called


def project_in(arguments: Mapping[str, Any]) -> str:
    """The project that the arguments of a call name; empty if none does."""
    for name, value in arguments.items():
        if name == "project":
            return str(value)
        for given in value if type(value) in {list, tuple} else [value]:
            for holder in (given, getattr(given, "key", None), getattr(given, "run", None)):
                if isinstance(project := getattr(holder, "project", None), str):
                    return project
    return ""
