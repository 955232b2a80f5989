"""Reads exports as others do: argument 1 is a directory with focus.csv, focus.parquet and day=*/.

Prints one JSON object: the rules of FOCUS that fail, and sums as DuckDB and pyarrow read them."""

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import focus_validator
import pyarrow.parquet

CRITERIA = [
    "ACCOUNT_NAMING_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "TAGGING_SUPPORTED",
]


def validate(file):
    """Names of the rules that fail, and the line with the counts. The exit code is 0 even then."""
    validator = Path(sys.executable).with_name("focus-validator")
    command = [validator, "--data-file", file, "--validate-version", "1.2.0.1", "--block-download"]
    command += ["--applicability-criteria", ",".join(CRITERIA)]
    # It reads its list of currencies by a path that is relative to where packages are.
    home = Path(focus_validator.__file__).parent.parent
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    said = done.stdout + done.stderr
    counts = re.search(r"Total: (\d+) \| Pass: (\d+) \| Fail: (\d+)", said)
    if not counts:
        sys.exit(f"focus-validator says nothing of what it found:\n{said[-3000:]}")
    failed = sorted(set(re.findall(r"(\S+): FAIL", said)))
    return {"checked": int(counts[2]), "failed": failed}


def main():
    where = Path(sys.argv[1]).resolve()
    sql = lambda text: [str(one) for one in duckdb.sql(text).fetchone()]
    arrow = pyarrow.parquet.read_table(where / "focus.parquet")
    assert str(arrow.schema.field("BilledCost").type) == "decimal128(38, 12)", arrow.schema
    days = f"read_parquet('{where}/day=*/records.parquet', hive_partitioning=true)"
    print(json.dumps({
        "focus": validate(where / "focus.csv"),
        "arrow": str(sum(arrow.column("BilledCost").to_pylist(), Decimal(0))),
        "duckdb": sql(f"SELECT sum(BilledCost), count(*) FROM '{where}/focus.parquet'"),
        "records": sql(f"SELECT sum(cost_usd), count(*), count(DISTINCT day), typeof(any_value(time)) FROM {days}"),
    }))


main()
