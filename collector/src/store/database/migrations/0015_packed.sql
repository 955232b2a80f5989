-- The rollup of each hour, day and week that is over, in one piece, so that a summary reads few rows: made of the rows,
-- removed with the next change of one of them, and made again (store/packed.rs). `hours` is the length, `time` how many of
-- it lie between the Unix epoch and the begin. Weeks were rows of their own before.
DROP TABLE rollup_week;
DROP TABLE summed_weeks;
CREATE TABLE rollup_packed (
    hours     INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    additions BLOB NOT NULL,
    PRIMARY KEY (hours, time)
) STRICT;
