"""Turns `genai_prices/data.py` of the genai-prices package into the JSON that `tollgate prices import` reads.

    python3 genai_json.py data.py > data.json

The file is parsed, never run: it is one literal of constructor calls with keyword arguments. A decimal keeps its text.
"""

import ast
import json
import sys


def value(node):
    """The JSON of one expression of the data."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {value(key): value(item) for key, item in zip(node.keys, node.values)}
    if isinstance(node, ast.Call):
        return call(node)
    sys.exit(f"line {node.lineno}: {ast.unparse(node)} is not data that this knows")


def call(node):
    name = ast.unparse(node.func)
    if name == "Decimal":
        return node.args[0].value
    if name == "datetime.date":
        return "{:04}-{:02}-{:02}".format(*(value(arg) for arg in node.args))
    if name == "datetime.time":
        return "{:02}:{:02}".format(*(value(arg) for arg in node.args))
    # `or_` and `and_` are spelled so because of Python's own words.
    return {keyword.arg.rstrip("_"): value(keyword.value) for keyword in node.keywords}


with open(sys.argv[1], encoding="utf-8") as file:
    tree = ast.parse(file.read())
providers = next(node.value for node in tree.body if isinstance(node, ast.AnnAssign) and node.target.id == "providers")
for provider in (found := value(providers)):
    provider.pop("extractors", None)
    for model in provider["models"]:
        model.pop("description", None)
json.dump(found, sys.stdout, indent=1)
