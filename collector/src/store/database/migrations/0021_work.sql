-- Work that goes on without its caller: who started it. `key` is the id that the record of its result has (core's `work_id`),
-- `starter` attribution and trust as JSON. Written and read by store/started.rs.
CREATE TABLE work_started (
    key        BLOB PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    starter    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX work_started_by_time ON work_started (started_ms);

-- Records of results whose starter is not known yet, by the work that would say it.
CREATE TABLE work_fetched (
    key        BLOB NOT NULL,
    record     BLOB NOT NULL,
    fetched_ms INTEGER NOT NULL,
    PRIMARY KEY (key, record)
) STRICT, WITHOUT ROWID;

CREATE INDEX work_fetched_by_time ON work_fetched (fetched_ms);
