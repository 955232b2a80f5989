-- Every set of attribution and model that a record had, interned. An empty string stands for a missing value.
CREATE TABLE dims (
    id                 INTEGER PRIMARY KEY,
    gateway            TEXT NOT NULL,
    agent              TEXT NOT NULL,
    team               TEXT NOT NULL,
    feature            TEXT NOT NULL,
    environment        TEXT NOT NULL,
    attribution_source TEXT NOT NULL,
    key_id             TEXT NOT NULL,
    provider           TEXT NOT NULL,
    operation          TEXT NOT NULL,
    request_model      TEXT NOT NULL,
    response_model     TEXT NOT NULL,
    service_tier       TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX dims_by_value ON dims (
    gateway, agent, team, feature, environment, attribution_source, key_id,
    provider, operation, request_model, response_model, service_tier
);

-- One row for each call. `body` is the record as JSON; the other columns are copies to find it by.
CREATE TABLE records (
    seq         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    time_ms     INTEGER NOT NULL,
    dims        INTEGER NOT NULL REFERENCES dims (id),
    outcome     INTEGER NOT NULL,
    cost_status INTEGER NOT NULL,
    body        TEXT NOT NULL
) STRICT;

-- Pages newest first, filtered without reading a body.
CREATE INDEX records_by_time ON records (time_ms, seq, dims, outcome, cost_status);

-- Sums of records by hour and by day, counted from the Unix epoch, UTC. `sums` is read and added by store/sums.rs.
-- The time comes first so that what is written now lies together.
CREATE TABLE rollup_hour (
    hour INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (hour, dims)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_day (
    day  INTEGER NOT NULL,
    dims INTEGER NOT NULL,
    sums BLOB NOT NULL,
    PRIMARY KEY (day, dims)
) STRICT, WITHOUT ROWID;

-- One row for each run of an Envoy.
CREATE TABLE gateway_instances (
    gateway       TEXT NOT NULL,
    instance      TEXT NOT NULL,
    sequence      INTEGER NOT NULL,
    price_version TEXT NOT NULL,
    first_seen_ms INTEGER NOT NULL,
    last_seen_ms  INTEGER NOT NULL,
    PRIMARY KEY (gateway, instance)
) STRICT, WITHOUT ROWID;

-- Records that an instance could not keep, by reason: its newest totals.
CREATE TABLE gateway_drops (
    gateway  TEXT NOT NULL,
    instance TEXT NOT NULL,
    reason   TEXT NOT NULL,
    dropped  INTEGER NOT NULL,
    PRIMARY KEY (gateway, instance, reason)
) STRICT, WITHOUT ROWID;
