-- What busy transactions add to the rollups, as it came: each row is the additions of one of them, added to
-- `rollup_hour` and `rollup_day` with those of many others at a time, and removed then (store/rollups.rs). Whoever reads a
-- rollup adds what is here.
CREATE TABLE rollup_recent (
    seq       INTEGER PRIMARY KEY,
    count     INTEGER NOT NULL,
    additions BLOB NOT NULL
) STRICT;
