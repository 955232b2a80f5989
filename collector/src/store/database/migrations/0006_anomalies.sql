-- What each agent did by minute since the Unix epoch, for a day: what the detector looks at (store/minutes.rs).
CREATE TABLE agent_minutes (
    minute INTEGER NOT NULL,
    agent  TEXT NOT NULL,
    body   TEXT NOT NULL,
    PRIMARY KEY (minute, agent)
) STRICT, WITHOUT ROWID;

-- When an agent first called a model. What was there before this table was made has no time.
CREATE TABLE first_calls (
    agent    TEXT NOT NULL,
    model    TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    PRIMARY KEY (agent, model)
) STRICT, WITHOUT ROWID;

INSERT INTO first_calls (agent, model, first_ms)
    SELECT DISTINCT agent, CASE response_model WHEN '' THEN request_model ELSE response_model END, 0 FROM dims;

-- Findings: one for each agent and kind while it lasts.
CREATE TABLE anomalies (
    seq      INTEGER PRIMARY KEY,
    agent    TEXT NOT NULL,
    kind     TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    last_ms  INTEGER NOT NULL,
    body     TEXT NOT NULL
) STRICT;

CREATE INDEX anomalies_by_time ON anomalies (last_ms);
CREATE INDEX anomalies_by_agent ON anomalies (agent, kind, last_ms);
