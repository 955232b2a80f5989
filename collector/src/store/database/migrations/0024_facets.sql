-- Facets: what calls are told apart by beside their dimensions, each with sums by hour (store/facets.rs, which says what
-- the numbers of `facet` and `value` mean). They are made of records in the order of `seq`, up to the one in
-- `facets_state`.
CREATE TABLE facets_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO facets_state VALUES (1, 0);

-- Names of tags, runs and prompts, interned. `parent` is the run that started a run. Times are Unix milliseconds UTC, of
-- the first call's admission and the last call's end; the tokens are those of the prompts of these two, -1 of a run that is
-- known only by those that it started.
CREATE TABLE facet_values (
    id           INTEGER PRIMARY KEY,
    facet        INTEGER NOT NULL,
    name         TEXT NOT NULL,
    parent       INTEGER,
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    last_tokens  INTEGER NOT NULL,
    UNIQUE (facet, name)
) STRICT;

CREATE INDEX facet_values_by_time ON facet_values (facet, first_ms);
CREATE INDEX facet_values_by_parent ON facet_values (parent) WHERE parent IS NOT NULL;

-- `sums` as in the rollups. `counts` are those of a prompt; empty elsewhere.
CREATE TABLE facet_hour (
    facet  INTEGER NOT NULL,
    hour   INTEGER NOT NULL,
    value  INTEGER NOT NULL,
    dims   INTEGER NOT NULL,
    sums   BLOB NOT NULL,
    counts BLOB NOT NULL,
    PRIMARY KEY (facet, hour, value, dims)
) STRICT, WITHOUT ROWID;
