-- Names that have counters of their own where a budget has one for each, as the configuration said last. Empty: any.
CREATE TABLE registered (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
