-- Files that providers named as results of batches, and to whom: `key` and `batch` are the ids that records of such work have
-- (core's `work_id`), `asker` is as `starter` in `work_started`. Written and read by store/records/started.rs, as all tables of
-- work.
CREATE TABLE work_outputs (
    key     BLOB PRIMARY KEY,
    batch   BLOB NOT NULL,
    told_ms INTEGER NOT NULL,
    asker   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX work_outputs_by_time ON work_outputs (told_ms);

-- Records of what was fetched that are not charged as nobody knows that they are to be: as they will be once that is known.
CREATE TABLE work_uncharged (
    record     BLOB PRIMARY KEY,
    fetched_ms INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX work_uncharged_by_time ON work_uncharged (fetched_ms);
