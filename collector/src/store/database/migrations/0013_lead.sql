-- Which of the collectors on this database does what only one of them should, and until when unless it says so again,
-- Unix milliseconds UTC. `term` grows with each change of the holder; `locked` tells that the holder has the lock file, so
-- that it is gone where that is free.
CREATE TABLE lead (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    term     INTEGER NOT NULL,
    locked   INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT;

INSERT INTO lead VALUES (1, 0, 0, 0);
