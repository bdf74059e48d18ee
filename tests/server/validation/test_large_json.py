"""Large texts are judged as small ones are, in steps."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runstore_server.validation.json_texts import MAX_JSON_DEPTH, SMALL_TEXT, json_problem
from runstore_server.validation.large_json import (
    FEW,
    FEW_CHARACTERS,
    FEW_ESCAPES,
    FEW_SCALARS,
    LEVELS,
    PIECE_CHARACTERS,
    STEP_ITEMS,
    STEP_SCALARS,
    NotJson,
    TooDeep,
    scan,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)
PIECES = ["[", "]", "{", "}", ",", ":", "1", "-0", "1.5E+3", "01", "1.", "-", '"a"', '"\\u00e9"']
PIECES += [
    '"\\x"',
    '"',
    "true",
    "nul",
    "NaN",
    " ",
    "\n",
    "\t",
    '"k":',
    "\x01",
    "\u00a0",
    "\u0661",
    "",
]


def scanned(text: str) -> str:
    try:
        scan(text, MAX_JSON_DEPTH)
    except NotJson:
        return "is not JSON"
    except TooDeep:
        return f"nests deeper than {MAX_JSON_DEPTH} levels"
    return ""


def agrees(text: str) -> bool:
    return scanned(text) == json_problem(text).partition(":")[0]


@given(VALUES, st.sampled_from([None, 1]))
def test_what_is_json_is_taken(value: object, indent: int | None) -> None:
    assert scanned(json.dumps(value, indent=indent)) == ""


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_is_judged_as_the_parser_does(text: str) -> None:
    assert agrees(text)


@given(VALUES, st.data())
def test_a_damaged_text_is_judged_as_the_parser_does(value: object, data: st.DataObject) -> None:
    text = json.dumps(value)
    start = data.draw(st.integers(0, len(text)))
    removed, put = data.draw(st.integers(0, 2)), data.draw(st.sampled_from(PIECES))

    assert agrees(text[:start] + put + text[start + removed :])


BOUNDS = [FEW, FEW_SCALARS, STEP_ITEMS, STEP_SCALARS]


@pytest.mark.parametrize("count", sorted({*BOUNDS, *(each + 1 for each in BOUNDS), FEW - 1, 1000}))
@pytest.mark.parametrize("item", ["1", '"a"', "[]", "[[2]]", '{"a": {"b": [1]}}', "[0,[[[[1]]]]]"])
def test_containers_of_every_length_are_taken_and_their_ends_checked(count: int, item: str) -> None:
    items = ",".join([item] * count)
    members = ",".join([f'"k":{item}'] * count)

    assert scanned(f"[{items}]") == scanned(f"{{{members}}}") == ""
    for bad in (f"[{items},]", f"[{items}}}", f"[{items}", f"{{{members},}}", f"[{items}]]"):
        assert scanned(bad) == "is not JSON"


LONG = [
    "x" * (FEW_CHARACTERS + 1),
    "\\n" * (FEW_ESCAPES + 1),
    *("x" * before + "\\u00e9" * (PIECE_CHARACTERS // 6 + 1) for before in range(7)),
    "x" * (2 * PIECE_CHARACTERS - 1) + "\\\\",
]


@pytest.mark.parametrize("inside", LONG, ids=len)
@pytest.mark.parametrize(
    "around", ["{}", "[{}]", "[1, {} ,[{}]]", '[{{"k":{}, {} : {} }}]', "{{ {} : [] }}"]
)
def test_a_long_string_is_taken_wherever_one_may_stand(around: str, inside: str) -> None:
    def judged(string: str) -> str:
        return scanned(around.replace("{}", string).replace("{{", "{").replace("}}", "}"))

    assert judged(f'"{inside}"') == ""
    for bad in (f'"{inside}', f'"{inside}\\x"', f'"{inside}\t"', f'"{inside}""', f'"{inside}\\"'):
        assert judged(bad) == "is not JSON"


@pytest.mark.parametrize("inner", ["", "1", "[],1", "1,[2]", '{"a":1}', "{}", '{"a":[]}'])
@pytest.mark.parametrize("depth", range(MAX_JSON_DEPTH - 2, MAX_JSON_DEPTH + 2))
def test_the_deepest_level_is_the_parsers(depth: int, inner: str) -> None:
    assert agrees("[" * depth + inner + "]" * depth)
    assert agrees('{"k":[' * (depth // 2) + inner + "]}" * (depth // 2))


@pytest.mark.parametrize(
    "opening", ["[", '{"k":', '[0, "a" ,', '{ "j" :1,"k" : ', '["]",', '{"[":']
)
@pytest.mark.parametrize("depth", [1, LEVELS - 1, LEVELS, LEVELS + 1, 50])
@pytest.mark.parametrize("inner", ["1", "[]", '[1,{"a":{}}]'])
def test_nested_containers_are_taken_and_closed_in_order(
    opening: str, depth: int, inner: str
) -> None:
    closing = " ]" if opening[0] == "[" else " }"
    chain = opening * depth + inner + closing * depth

    assert scanned(chain) == scanned(f"[{chain},1,{chain}]") == ""
    for bad in (
        chain[:-1],
        chain + closing,
        chain[:-1] + ("}" if closing == " ]" else "]"),
        opening * depth + closing * (depth - 1) + "}]",
        f"[{chain}{chain}]",
    ):
        assert scanned(bad) == "is not JSON"
        assert scanned(f"[0,{bad}]") == "is not JSON"


VALUE_KINDS = ["1", '"a"', f'"{LONG[0]}"', "[]", "[1]", '{"a":1}', "[[[[[1]]]]]", '{"a":{"a":[1]}}']


@pytest.mark.parametrize("second", VALUE_KINDS)
@pytest.mark.parametrize("first", VALUE_KINDS)
def test_nothing_but_a_comma_stands_between_two_values(first: str, second: str) -> None:
    for around in ("[{}]", '{"k":{}}', '[0,{"k":[[{}]]}]', "[[[[[[1]]]]],{}]"):
        for between in ("", " ", ",,", ":", '"k":', '{"k":'):
            assert agrees(around.replace("{}", f"{first}{between}{second}"))
            assert agrees(around.replace("{}", f'{first}{between}"k":{second}'))
        assert agrees(around.replace("{}", f'{first},"k":{second}'))


def test_a_large_text_is_told_where_it_is_wrong() -> None:
    text = "[" + "1,\n" * SMALL_TEXT + "oops]"

    assert json_problem(text) == f"is not JSON: line {SMALL_TEXT + 1} (char {3 * SMALL_TEXT + 1})"
