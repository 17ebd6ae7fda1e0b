"""The JSON Schema for editors."""

import json

from emperor.config.emperor_file import EMPEROR_KEYS
from emperor.config.keys import REQUIRED, VASSAL_KEYS
from emperor.config.schema import emperor_schema, vassal_schema


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


def test_schema_of_the_emperors_file_knows_plans_owners_and_customers():
    schema = json.loads(json.dumps(emperor_schema()))
    parts = schema["properties"]
    assert {name.partition(".")[0] for name in EMPEROR_KEYS} == set(parts)
    assert all(part["description"] for part in parts.values())
    plan = parts["plan"]["additionalProperties"]["properties"]
    assert "memory_max" in plan["limits"]["properties"]
    assert plan["workers"]["anyOf"][0]["maximum"] == 1024
    assert "customer" in parts["owner"]["additionalProperties"]["properties"]
    budget = parts["customer"]["additionalProperties"]["properties"]["limits"]["properties"]
    assert "tasks_max" in budget
    assert "limit_nofile" not in budget
    assert "listen" not in parts["defaults"]["properties"]


def test_values_of_directives_have_real_types():
    parts = vassal_schema()["properties"]
    for table in ("limits", "sandbox"):
        for name, part in parts[table]["properties"].items():
            assert set(part) - {"description", "default", "examples"}, name
