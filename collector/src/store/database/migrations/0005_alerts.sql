-- Decisions: one for each rule, scope, window and threshold, ever. `id` is made of these four (model/alert.rs) and is what
-- receivers know it by.
CREATE TABLE alerts (
    id          TEXT PRIMARY KEY,
    rule        TEXT NOT NULL,
    scope       TEXT NOT NULL,
    window      TEXT NOT NULL,
    threshold   TEXT NOT NULL,
    decided_ms  INTEGER NOT NULL,
    resolved_ms INTEGER,
    body        TEXT NOT NULL,
    UNIQUE (rule, scope, window, threshold)
) STRICT, WITHOUT ROWID;

CREATE INDEX alerts_by_time ON alerts (decided_ms, id);
CREATE INDEX alerts_open ON alerts (rule) WHERE resolved_ms IS NULL;

-- What is to be sent of a decision, and what became of it. `event`: 0 opened, 1 resolved. `state`: 0 waiting,
-- 1 delivered, 2 given up.
CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY,
    alert        TEXT NOT NULL REFERENCES alerts (id),
    channel      TEXT NOT NULL,
    event        INTEGER NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0,
    attempts     INTEGER NOT NULL DEFAULT 0,
    created_ms   INTEGER NOT NULL,
    next_ms      INTEGER NOT NULL,
    delivered_ms INTEGER,
    last_error   TEXT,
    UNIQUE (alert, channel, event)
) STRICT;

CREATE INDEX outbox_waiting ON outbox (next_ms, seq) WHERE state = 0;

-- Opened once when a budget's window is passed; somebody says why, and closes it.
CREATE TABLE reviews (
    id        INTEGER PRIMARY KEY,
    alert     TEXT NOT NULL REFERENCES alerts (id),
    budget    TEXT NOT NULL,
    scope     TEXT NOT NULL,
    window    TEXT NOT NULL,
    title     TEXT NOT NULL,
    opened_ms INTEGER NOT NULL,
    owner     TEXT NOT NULL DEFAULT '',
    note      TEXT NOT NULL DEFAULT '',
    closed_ms INTEGER,
    closed_by TEXT,
    UNIQUE (scope, window)
) STRICT;
