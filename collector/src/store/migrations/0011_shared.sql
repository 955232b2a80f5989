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
