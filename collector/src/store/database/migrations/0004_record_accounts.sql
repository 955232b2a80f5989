-- What became of every record that arrived, counted in the transaction that decides it (store/accounts.rs).
CREATE TABLE record_accounts (
    name    TEXT PRIMARY KEY,
    records INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO record_accounts (name, records)
    SELECT name, (SELECT count(*) FROM records) FROM (SELECT 'received' AS name UNION ALL SELECT 'stored');

-- Records from before `horizon_ms` are removed and not taken any more. It only grows.
CREATE TABLE retention (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    horizon_ms INTEGER NOT NULL
) STRICT;

INSERT INTO retention VALUES (1, -9223372036854775808);
