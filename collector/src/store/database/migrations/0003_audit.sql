-- The audit trail: one row for each change of configuration, price, budget or registry, each approval and release.
-- `hash` covers the row and the hash before it (collector/src/model/audit.rs). Rows are only ever added.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    before  TEXT,
    after   TEXT,
    hash    TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_rows_stay_as_they_are BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;

CREATE TRIGGER audit_rows_stay BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
