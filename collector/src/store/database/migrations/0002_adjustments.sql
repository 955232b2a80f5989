-- What changed a record's cost after it was stored: corrections of prices, and records that came after their month
-- was closed. A record itself is never edited. `booked_hour` is the hour of the rollups that counts it.
CREATE TABLE adjustments (
    seq         INTEGER PRIMARY KEY,
    record      BLOB NOT NULL,
    reason      INTEGER NOT NULL,
    made_ms     INTEGER NOT NULL,
    booked_hour INTEGER NOT NULL,
    dims        INTEGER NOT NULL REFERENCES dims (id),
    body        TEXT NOT NULL
) STRICT;

CREATE INDEX adjustments_by_record ON adjustments (record, seq);
CREATE INDEX adjustments_by_hour ON adjustments (booked_hour, seq);

-- Months that are locked, with their totals then. Hours before the last `end_hour` do not change any more.
CREATE TABLE closed_months (
    month     TEXT PRIMARY KEY,
    end_hour  INTEGER NOT NULL,
    closed_ms INTEGER NOT NULL,
    sums      BLOB NOT NULL
) STRICT, WITHOUT ROWID;
