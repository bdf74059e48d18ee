"""An output is compared with the one that a document shows."""

from pathlib import Path

import pytest
from e2e.documents import Example, difference, examples


def shown(output: str, *, kind: str = "json", code: int = 0) -> Example:
    return Example(line=1, command="true", kind=kind, code=code, output=output)


@pytest.mark.parametrize(
    ("output", "got"),
    [
        ('{"a": 1, "b": "…"}', '{"b": "x", "a": 1}'),
        ('{"a": "…"}', '{"a": 0.25}'),
        ('{"a": "sha256:…"}', '{"a": "sha256:01"}'),
        ('{"a": 1, "…": "…"}', '{"a": 1, "b": {"c": 2}}'),
        ('[1, "…"]', "[1, 2, 3]"),
        ('[1, "…"]', '[1, {"a": 2}]'),
        ('[1, "…"]', "[1]"),
        ('{"a": 1}\n{"a": "…"}', '{"a": 1} {"a": 2}'),
    ],
)
def test_json_is_as_shown(output: str, got: str) -> None:
    assert difference(shown(output), 0, got) == ""


@pytest.mark.parametrize(
    ("output", "got"),
    [
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": 1, "b": 2}'),
        ('{"a": 1, "b": "…"}', '{"a": 1}'),
        ('{"a": "…"}', '{"a": {"b": 1}}'),
        ('{"a": "sha256:…"}', '{"a": "md5:01"}'),
        ('{"a": [{"b": 1}]}', '{"a": [{"b": 2}]}'),
        ("[1]", "[1, 2]"),
        ('{"a": 1}', '{"a": 1} {"a": 2}'),
    ],
)
def test_json_that_differs_is_reported(output: str, got: str) -> None:
    assert difference(shown(output), 0, got)


@pytest.mark.parametrize(
    ("output", "got", "is_same"),
    [
        ("a  b\n", "a\tb\n", True),
        ("a: …\n", "a: anything\n", True),
        ("a\n…\nb\n", "a\nx\ny\nb\n", True),
        ("a\n…\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nx\nb\n", False),
        ("a\n", "a\nb\n", False),
        ("a.\n", "ab\n", False),
    ],
)
def test_text_is_compared_word_by_word(output: str, got: str, is_same: bool) -> None:
    assert (difference(shown(output, kind="text"), 0, got) == "") is is_same


def test_an_exit_code_that_differs_is_reported() -> None:
    assert difference(shown("", kind=""), 1, "")
    assert difference(shown("", kind="", code=69), 69, "") == ""


def test_a_block_belongs_to_the_command_right_before_it(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text(
        "```sh\none\n```\n\nWords.\n\n```text exit=2\nx\n```\n"
        "```sh\ntwo\n```\n\n```json exit=65\n1\n```\n"
    )

    found = examples(document)

    assert [(each.command, each.kind, each.code) for each in found] == [
        ("one\n", "", 0),
        ("two\n", "json", 65),
    ]
    assert found[1].line == 11
