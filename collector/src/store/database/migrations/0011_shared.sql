-- What several collectors on one database tell each other.

-- Grows with every change of the budgets, so that each collector sees that what it holds of them is old.
CREATE TABLE budgets_state (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO budgets_state VALUES (1, 1);

CREATE TRIGGER budgets_are_made AFTER INSERT ON budgets
BEGIN UPDATE budgets_state SET version = version + 1; END;

CREATE TRIGGER budgets_are_changed AFTER UPDATE ON budgets
BEGIN UPDATE budgets_state SET version = version + 1; END;

-- A delivery under way is not begun by anybody else before this time, Unix milliseconds UTC.
ALTER TABLE outbox ADD COLUMN claimed_until_ms INTEGER NOT NULL DEFAULT 0;

-- Sums of whole weeks since the Unix epoch, made of days; they hold for the weeks in `summed_weeks` only.
CREATE TABLE rollup_week (
    week INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (week, dims)
) STRICT, WITHOUT ROWID;

CREATE TABLE summed_weeks (
    week INTEGER PRIMARY KEY
) STRICT;
