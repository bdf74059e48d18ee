"""Prove that the clients in Python, Go and TypeScript behave the same: README.md.

python clients/conformance/run.py [--client NAME ...] [--results FOLDER] [--through PROXY | --tls]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from checking import written
from runners import CLIENTS, made, present
from suites import PROXIES, Problems, Results, Secured, serving, suites


def main(arguments: Sequence[str]) -> int:
    """Return 0 if every client passes every scenario with the same results."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [each.name for each in CLIENTS]
    parser.add_argument("--client", action="append", choices=names, help="only these clients")
    parser.add_argument("--results", type=Path, help="keep the results in this folder")
    parser.add_argument("--through", choices=PROXIES, help="with this proxy before the server")
    parser.add_argument(
        "--tls", action="store_true", help="over TLS, with certificates of both sides and tokens"
    )
    given = parser.parse_args(arguments)
    clients = [each for each in CLIENTS if each.name in (given.client or names) and present(each)]
    with ExitStack() as stack:
        # Runners have folders of their own that they work in.
        folder = (
            given.results or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for client in clients:
            made(client)
        secured = Secured(folder) if given.tls else None
        server = stack.enter_context(serving(folder, secured))
        found: dict[str, Problems] = {}
        texts: dict[str, Results] = {}
        executed = stack.enter_context(suites(server, folder, given.through, secured))
        for client in clients:
            for suite in executed:
                wrong, results = suite.run(client)
                found[client.name] = found.get(client.name, {}) | wrong
                texts[client.name] = texts.get(client.name, {}) | results
            (folder / f"{client.name}.json").write_text(written(texts[client.name]))
    return report(list(next(iter(found.values()), {})), found, texts)


def report(names: Sequence[str], found: dict[str, Problems], texts: dict[str, Results]) -> int:
    """Print the table and then the problems."""
    width = max(map(len, names), default=0)
    print(f"{'scenario':{width}}  {'  '.join(f'{each:10}' for each in found)}  same")
    wrong = []
    for name in names:
        shown = {client: "FAILED" if each[name] else "ok" for client, each in found.items()}
        same = len({written({name: each[name]}) for each in texts.values()}) <= 1
        row = "  ".join(f"{each:10}" for each in shown.values())
        print(f"{name:{width}}  {row}  {'yes' if same else 'NO'}")
        wrong += [f"{name}: {who}: {what}" for who in found for what in found[who][name]]
        wrong += [] if same else [f"{name}: {line}" for line in unlike(name, texts)]
    for line in wrong:
        print(line)
    print(f"{len(names)} scenarios, {len(found)} clients, {len(wrong)} problems")
    return 1 if wrong or not found else 0


def unlike(name: str, texts: dict[str, Results]) -> Iterator[str]:
    """The first line in which the results of two clients differ."""
    (first, one), *others = texts.items()
    for other, two in others:
        lines = [written({name: each[name]}).splitlines() for each in (one, two)]
        for left, right in zip(*lines, strict=False):
            if left != right:
                yield f"{first} has {left.strip()[:200]}, {other} {right.strip()[:200]}"
                break
        else:
            if len(lines[0]) != len(lines[1]):
                yield f"{first} has more or fewer lines than {other}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
