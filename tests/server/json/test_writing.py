"""Values are written as JSON in which payloads stand exactly as they are."""

import json
from base64 import b64decode

import pytest
from runstore_server.json.payloads import payload_value
from runstore_server.json.writing import RawJson, written, written_without
from runstore_storage.contract.payloads import Payload

BROKEN = '{\r\n"a":\n1.0,"a":"\\r\\n"\r}\n'


def test_values_are_written_as_json_and_raw_texts_as_they_are() -> None:
    value = {"a": [1, -2.5, True, False, None, '\n"ü\u2028'], "b": {}, "c": [], "d": (1,)}
    raw = RawJson('{"z":1.0,"z":2 }')

    assert written(value) == '{"a":[1,-2.5,true,false,null,"\\n\\"ü\u2028"],"b":{},"c":[],"d":[1]}'
    assert written({"x": [raw, raw]}) == '{"x":[{"z":1.0,"z":2 },{"z":1.0,"z":2 }]}'


@pytest.mark.parametrize("breaks", ["\r", "\n", "\r\n"])
def test_blanks_take_the_place_of_line_breaks_and_the_bytes_stand_beside(breaks: str) -> None:
    value = {"events": [{"payload": payload_value(Payload(BROKEN, "x/y"))}], "text": "\r\n"}

    text = written_without(breaks, value)

    payload = json.loads(text)["events"][0]["payload"]
    assert not set(breaks) & set(text)
    assert json.loads(text)["text"] == "\r\n"
    assert payload["json"] == json.loads(BROKEN)
    assert payload["content_type"] == "x/y"
    assert b64decode(payload["json_base64"]).decode() == BROKEN


def test_a_text_without_line_breaks_stands_as_it_is() -> None:
    value = {"payload": payload_value(Payload('{"a": 1.0, "a":\n2}'))}

    assert written_without("\r", value) == written(value)
