-- Agents that were registered by the API, or proposed as they were seen: what is written of each as JSON (model/agent.rs).
-- `source` is `api` or `seen`. Those of the configuration file stand there alone.
CREATE TABLE agents (
    name       TEXT PRIMARY KEY,
    status     TEXT NOT NULL,
    body       TEXT NOT NULL,
    source     TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What each collector holds of agents is old after a change, as with budgets.
CREATE TRIGGER agents_are_made AFTER INSERT ON agents
BEGIN UPDATE budgets_state SET version = version + 1; END;

CREATE TRIGGER agents_are_changed AFTER UPDATE ON agents
BEGIN UPDATE budgets_state SET version = version + 1; END;

-- Since when agents that are seen for the first time are proposed, Unix milliseconds UTC; no row: not yet.
CREATE TABLE agents_watched (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    since_ms INTEGER NOT NULL
) STRICT;

-- The budget is for calls of unknown agents alone: records do not say what counts on it.
ALTER TABLE budgets ADD COLUMN quarantine INTEGER NOT NULL DEFAULT 0;
