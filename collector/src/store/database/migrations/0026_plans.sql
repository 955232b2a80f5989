-- What agents were planned to cost, one for each: the plan and its prices as JSON (model/answers/plan.rs).
CREATE TABLE plans (
    agent    TEXT PRIMARY KEY,
    saved_ms INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    body     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
