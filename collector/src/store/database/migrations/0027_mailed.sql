-- Reports by mail: since when each is known, so that a new one does not tell of the past, and what became of
-- each period's mail.
CREATE TABLE mailed_since (
    report   TEXT NOT NULL,
    every    TEXT NOT NULL,  -- day, week or month
    since_ms INTEGER NOT NULL,
    PRIMARY KEY (report, every)
) STRICT, WITHOUT ROWID;
CREATE TABLE mailed (
    report           TEXT NOT NULL,
    period           TEXT NOT NULL,     -- such as 2026-W46
    state            INTEGER NOT NULL,  -- 0: to be sent, 1: sent, 2: given up, or tried by hand alone
    is_by_hand       INTEGER NOT NULL DEFAULT 0,  -- 1: no schedule has asked for it
    due_ms           INTEGER NOT NULL,
    next_ms          INTEGER NOT NULL,
    claimed_until_ms INTEGER NOT NULL DEFAULT 0,  -- above 0 while somebody sends it
    claimed_by_hand  INTEGER NOT NULL DEFAULT 0,
    attempts         INTEGER NOT NULL DEFAULT 0,
    uncertain        INTEGER NOT NULL DEFAULT 0,  -- attempts whose end nobody knows
    sent_ms          INTEGER,
    last_error       TEXT,
    PRIMARY KEY (report, period)
) STRICT, WITHOUT ROWID;
