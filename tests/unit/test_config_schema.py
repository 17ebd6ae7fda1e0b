"""The JSON Schema for editors."""

import json

from emperor.config.keys import REQUIRED, VASSAL_KEYS
from emperor.config.schema import vassal_schema


def test_schema_is_json_and_knows_every_key():
    schema = json.loads(json.dumps(vassal_schema()))
    known = set()
    for name, part in schema["properties"].items():
        table = part["anyOf"][1] if name == "log" else part
        if "properties" in table:
            assert table["additionalProperties"] is False
            known |= {f"{name}.{key}" for key in table["properties"]}
        else:
            known.add(name)
    assert known == set(VASSAL_KEYS)
    assert schema["required"] == list(REQUIRED)
    assert schema["additionalProperties"] is False


def test_every_key_carries_its_help():
    for name, part in vassal_schema()["properties"].items():
        assert name == "log" or part["description"]


def test_log_may_be_a_word_or_a_table():
    word, table = vassal_schema()["properties"]["log"]["anyOf"]
    assert word["type"] == "string"
    assert table["properties"]["keep"]["default"] == 3
