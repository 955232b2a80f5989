-- The runs of an hour that is over, in one piece (store/facets/packed.rs). `hour` is that of their first calls, in hours
-- since the Unix epoch. A piece goes with any change of a run in it, and is made again a little later.
CREATE TABLE runs_packed (
    hour INTEGER PRIMARY KEY,
    runs BLOB NOT NULL
) STRICT;

-- 3 is the facet of runs.
CREATE TRIGGER runs_packed_sums_new AFTER INSERT ON facet_hour WHEN new.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour = (SELECT first_ms / 3600000 FROM facet_values WHERE id = new.value);
END;

CREATE TRIGGER runs_packed_sums_changed AFTER UPDATE ON facet_hour WHEN new.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour = (SELECT first_ms / 3600000 FROM facet_values WHERE id = new.value);
END;

CREATE TRIGGER runs_packed_sums_gone AFTER DELETE ON facet_hour WHEN old.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour = (SELECT first_ms / 3600000 FROM facet_values WHERE id = old.value);
END;

CREATE TRIGGER runs_packed_run_new AFTER INSERT ON facet_values WHEN new.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour = new.first_ms / 3600000;
END;

CREATE TRIGGER runs_packed_run_changed AFTER UPDATE ON facet_values WHEN new.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour IN (old.first_ms / 3600000, new.first_ms / 3600000);
END;

CREATE TRIGGER runs_packed_run_gone AFTER DELETE ON facet_values WHEN old.facet = 3 BEGIN
    DELETE FROM runs_packed WHERE hour = old.first_ms / 3600000;
END;
