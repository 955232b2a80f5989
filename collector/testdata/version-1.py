"""Makes version-1.sql, a database as the first schema had it, and version-1.json, what it holds.

The bytes of rollup rows are written here anew from their description in store/rollups/sums.rs, so that both sides would have to
be wrong alike. Run in this folder: python3 version-1.py
"""

import json
import random
import sqlite3
import uuid

HOUR = 3_600_000
START_MS = 1_760_000_400_000  # 2025-10-09T09:00:00Z
KINDS = {"input": 1, "cache_read": 2, "output": 14, "reasoning": 15}
OUTCOMES = ["ok", "error", "client_abort", "upstream_abort", "denied"]
STATUSES = ["measured", "estimated", "unpriced", "free"]
COUNTS = ["calls", "denied", "errors", "client_aborts", "upstream_aborts", "estimated_calls", "unpriced_calls",
          "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"]
MONEY = ["cost", "estimated_cost", "provider_cost"]


def number(value):
    """A variable-length integer, seven bits a byte, the lowest first."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def encode(sums):
    totals = b"".join(number(sums[name]) for name in COUNTS) + b"".join(number(sums[name] * 2) for name in MONEY)
    kinds = b"".join(bytes([KINDS[kind]]) + number(quantity) + number(cost * 2)
                     for kind, (quantity, cost) in sorted(sums["kinds"].items(), key=lambda item: KINDS[item[0]]))
    return bytes([1]) + totals + kinds


def dollars(pico):
    return f"{pico // 10**12}.{pico % 10**12:012}"


def record(n, chance):
    outcome = "ok" if n % 5 else chance.choice(OUTCOMES)
    denied = outcome == "denied"
    status = "free" if denied else chance.choice(["measured"] * 6 + STATUSES[:3])
    usage = {} if denied else {"input_tokens": chance.randrange(1, 9_000), "cache_read_tokens": 0,
                               "output_tokens": chance.randrange(1, 900), "reasoning_tokens": 0}
    if usage:
        usage["cache_read_tokens"] = usage["input_tokens"] // 3
        usage["reasoning_tokens"] = usage["output_tokens"] // 2
    parts = {}
    if usage:
        parts = {"input": usage["input_tokens"] - usage["cache_read_tokens"], "cache_read": usage["cache_read_tokens"],
                 "output": usage["output_tokens"] - usage["reasoning_tokens"], "reasoning": usage["reasoning_tokens"]}
    parts = {kind: quantity for kind, quantity in parts.items() if quantity}
    rate = {"input": 1_250_000, "cache_read": 125_000, "output": 10_000_000, "reasoning": 10_000_000}
    priced = parts if status in ("measured", "estimated") else {}
    charges = [{"model": "gpt-5", "kind": kind, "quantity": quantity, "rate": dollars(rate[kind]),
                "cost_usd": dollars(quantity * rate[kind])} for kind, quantity in priced.items()]
    cost = sum(quantity * rate[kind] for kind, quantity in priced.items())
    body = {
        "id": str(uuid.UUID(int=(0x01890A5DAC96 << 80) | (7 << 76) | (2 << 62) | n)),
        "time_ms": START_MS + n * HOUR * 30 // 10 + chance.randrange(HOUR),
        "gateway": f"edge-{n % 2}", "agent": f"agent-{n % 7}", "team": f"team-{n % 3}", "feature": "chat",
        "environment": "production", "attribution_source": "self_declared", "provider": "openai", "operation": "chat",
        "request_model": "gpt-5", "outcome": outcome, "usage": usage, "cost_usd": dollars(cost), "cost_status": status,
    }
    if not denied:
        body["response_model"] = f"gpt-5-2025-08-0{n % 2 + 1}"
    if charges:
        body["charges"] = charges
    sums = dict.fromkeys(COUNTS + MONEY, 0)
    sums |= {"calls": int(not denied), "denied": int(denied), "errors": int(outcome == "error"),
             "client_aborts": int(outcome == "client_abort"), "upstream_aborts": int(outcome == "upstream_abort"),
             "estimated_calls": int(status == "estimated"), "unpriced_calls": int(status == "unpriced"), "cost": cost,
             "estimated_cost": cost if status == "estimated" else 0}
    sums |= usage
    sums["kinds"] = {kind: (quantity, quantity * rate[kind] if priced else 0) for kind, quantity in parts.items()}
    return body, sums


def add(rows, key, sums):
    row = rows.setdefault(key, dict.fromkeys(COUNTS + MONEY, 0) | {"kinds": {}})
    for name in COUNTS + MONEY:
        row[name] += sums[name]
    for kind, (quantity, cost) in sums["kinds"].items():
        before = row["kinds"].get(kind, (0, 0))
        row["kinds"][kind] = (before[0] + quantity, before[1] + cost)


def main():
    chance = random.Random(1)
    database = sqlite3.connect(":memory:")
    database.executescript(open("../src/store/database/migrations/0001_records_and_rollups.sql").read())
    dims, hours, days, agents, bodies = {}, {}, {}, {}, []
    for n in range(240):
        body, sums = record(n, chance)
        key = tuple(body.get(name, "") for name in ("gateway", "agent", "team", "feature", "environment",
                    "attribution_source", "key_id", "provider", "operation", "request_model", "response_model",
                    "service_tier"))
        if key not in dims:
            dims[key] = len(dims) + 1
            database.execute(f"INSERT INTO dims VALUES ({', '.join('?' * 13)})", (dims[key], *key))
        database.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)", (
            n + 1, uuid.UUID(body["id"]).bytes, body["time_ms"], dims[key], OUTCOMES.index(body["outcome"]),
            STATUSES.index(body["cost_status"]), json.dumps(body, separators=(",", ":"))))
        hour = body["time_ms"] // HOUR
        add(hours, (hour, dims[key]), sums)
        add(days, (hour // 24, dims[key]), sums)
        add(agents, body["agent"], sums)
        bodies.append(body["id"])
    for table, rows in (("rollup_hour", hours), ("rollup_day", days)):
        for (time, key), sums in sorted(rows.items()):
            database.execute(f"INSERT INTO {table} VALUES (?, ?, ?)", (time, key, encode(sums)))
    for n in range(2):
        database.execute("INSERT INTO gateway_instances VALUES (?, 'one', ?, 'v1', ?, ?)",
                         (f"edge-{n}", 100 + n, START_MS, START_MS + 1_000 * HOUR))
        database.execute("INSERT INTO gateway_drops VALUES (?, 'one', 'outbox_full', ?)", (f"edge-{n}", 3 + n))
    database.commit()
    marks = "PRAGMA user_version = 1;\nPRAGMA application_id = 1413964148;\n"
    with open("version-1.sql", "w") as out:
        out.write(marks + "\n".join(database.iterdump()) + "\n")
    shown = {agent: {name: sums[name] for name in COUNTS} | {name: dollars(sums[name]) for name in MONEY}
             for agent, sums in sorted(agents.items())}
    with open("version-1.json", "w") as out:
        json.dump({"records": len(bodies), "agents": shown}, out, indent=1)
        out.write("\n")


main()
