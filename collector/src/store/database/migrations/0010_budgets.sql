-- Budgets as they hold now and held before. `definition` is the checked budget as JSON; a larger `generation` means
-- that it counts otherwise than before, with counters of its own. A budget that was removed keeps its row.
CREATE TABLE budgets (
    name       TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    definition TEXT NOT NULL,
    source     TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    since_ms   INTEGER NOT NULL,
    removed_ms INTEGER
) STRICT, WITHOUT ROWID;

-- One counter in one window. `extra` is what was carried over and topped up, `seed` what was spent before the counter
-- was made. Amounts are pico-dollars, tokens or calls as 16 bytes, big endian: sums are made in one place, in Rust.
CREATE TABLE counters (
    id              INTEGER PRIMARY KEY,
    budget          TEXT NOT NULL,
    generation      INTEGER NOT NULL,
    value           TEXT NOT NULL,
    start_ms        INTEGER NOT NULL,
    end_ms          INTEGER NOT NULL,
    extra           BLOB NOT NULL,
    seed            BLOB NOT NULL,
    recall_for      TEXT NOT NULL,
    recall_until_ms INTEGER NOT NULL,
    UNIQUE (budget, generation, value, start_ms)
) STRICT;

-- What one run of a gateway was granted on a counter, gave back and used: totals, never deltas.
CREATE TABLE accounts (
    counter   INTEGER NOT NULL REFERENCES counters (id),
    instance  TEXT NOT NULL,
    gateway   TEXT NOT NULL,
    granted   BLOB NOT NULL,
    returned  BLOB NOT NULL,
    used      BLOB NOT NULL,
    held      BLOB NOT NULL,
    kept      BLOB NOT NULL,
    burn      BLOB NOT NULL,
    in_flight INTEGER NOT NULL,
    denied    INTEGER NOT NULL,
    version   INTEGER NOT NULL,
    seen_ms   INTEGER NOT NULL,
    PRIMARY KEY (counter, instance)
) STRICT, WITHOUT ROWID;

CREATE INDEX accounts_by_instance ON accounts (instance, counter);
