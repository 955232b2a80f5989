-- What bills of providers corrected, each booking once: name and digest of the bill, the reason, and what it came to.
CREATE TABLE bills (
    seq        INTEGER PRIMARY KEY,
    made_ms    INTEGER NOT NULL,
    amount_usd TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;

-- Its amounts: for calls of `hour` with these dimensions, counted in the rollups of `booked_hour`, which is another one where
-- the month was closed.
CREATE TABLE bill_lines (
    bill        INTEGER NOT NULL REFERENCES bills (seq),
    hour        INTEGER NOT NULL,
    dims        INTEGER NOT NULL REFERENCES dims (id),
    booked_hour INTEGER NOT NULL,
    amount_usd  TEXT NOT NULL,
    PRIMARY KEY (bill, hour, dims)
) STRICT, WITHOUT ROWID;

CREATE INDEX bill_lines_by_booked_hour ON bill_lines (booked_hour);
CREATE INDEX bill_lines_elsewhere ON bill_lines (hour) WHERE booked_hour <> hour;
