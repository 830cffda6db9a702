#!/usr/bin/env python3
"""The gateway's contract, cut down to what clients call, on standard output.

usage: cut.py openapi/gateway.json

Model names come from what the market under test serves, so that most requests get further than
"no such model"; the rest of the contract is as committed.
"""

import json
import sys

MODELS = ["scripted", "org/scripted"]
METHODS = ("get", "post", "put", "delete", "patch")


def unsigned(schema):
    """32 bits without a sign, which the generator of schemas prints as `int32`, are more than that."""
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, (dict, list)):
            unsigned(value)
    if isinstance(schema, dict) and schema.get("format") == "int32" and schema.get("minimum") == 0:
        del schema["format"]


def main():
    with open(sys.argv[1]) as file:
        contract = json.load(file)
    paths = contract["paths"]
    contract["paths"] = {path: item for path, item in paths.items() if path.startswith("/v1/")}
    operations = [
        item[method] for item in contract["paths"].values() for method in METHODS if method in item
    ]
    for operation in operations:
        for parameter in operation.get("parameters", []):
            if parameter["name"] == "id":
                parameter["schema"] = {"type": "string", "enum": [*MODELS, "none", "a/b:c@d"]}
        content = operation.get("requestBody", {}).get("content", {})
        for kind in content.values():
            name = kind["schema"]["$ref"].rpartition("/")[2]
            properties = contract["components"]["schemas"][name]["properties"]
            properties["model"] = {"type": "string", "enum": MODELS}
            for example in kind.get("examples", {}).values():
                example["value"]["model"] = MODELS[0]
    unsigned(contract["components"]["schemas"])
    # The tool reads 3.1; what is new in 3.2 (`itemSchema`) it would pass over.
    contract["openapi"] = "3.1.0"
    json.dump(contract, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
