-- Totals of records that gateways had no room for, each once: counts and money are in the rollups of `hour`, as those of
-- records are. Its calls were admitted in `span_ms` milliseconds from `time_ms`, both for other reasons than to be added up.
CREATE TABLE folded (
    id      BLOB PRIMARY KEY,
    time_ms INTEGER NOT NULL,
    span_ms INTEGER NOT NULL,
    hour    INTEGER NOT NULL,
    dims    INTEGER NOT NULL REFERENCES dims (id),
    records INTEGER NOT NULL,
    sums    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX folded_by_hour ON folded (hour, dims, records);
CREATE INDEX folded_by_time ON folded (time_ms, dims, span_ms);
