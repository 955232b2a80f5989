-- What calls cost by the book and by the word of the providers that named a cost, by hour (since the Unix epoch, UTC),
-- dimensions and row of the book. Amounts are pico-dollars, 16 bytes each, highest first. Added to by store/reports.rs.
CREATE TABLE price_reports (
    hour          INTEGER NOT NULL,
    dims          INTEGER NOT NULL,
    model         TEXT NOT NULL,
    calls         INTEGER NOT NULL,
    off_calls     INTEGER NOT NULL,
    doubted_calls INTEGER NOT NULL,
    without_price INTEGER NOT NULL,
    book          BLOB NOT NULL,
    provider      BLOB NOT NULL,
    PRIMARY KEY (hour, dims, model)
) STRICT, WITHOUT ROWID;
