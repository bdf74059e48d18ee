"""What payload arguments become."""

import pytest
import runstore


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({"b": 1, "a": None}, '{"b":1,"a":null}'),
        ("é", '"é"'),
        ("\ud800", '"\\ud800"'),
        (b"\x00\xff", b"\x00\xff"),
        (runstore.Payload("[1.0 ]"), "[1.0 ]"),
    ],
)
def test_a_payload_argument_becomes_the_expected_text_or_bytes(value, content) -> None:
    assert runstore.payload_of(value).content == content


@pytest.mark.parametrize("value", [float("nan"), object(), {1, 2}])
def test_a_value_that_json_cannot_represent_is_refused_before_it_is_sent(value) -> None:
    with pytest.raises((ValueError, TypeError)):
        runstore.payload_of(value)
