-- What an instance spent in about the last minute: it bounds what it can have spent unseen when its lease ends.
ALTER TABLE accounts ADD COLUMN rate BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
-- Calls that a gateway counted under `(other)`, as a budget had as many values as there may be; and when they last became more.
ALTER TABLE gateway_instances ADD COLUMN values_shared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gateway_instances ADD COLUMN values_shared_ms INTEGER NOT NULL DEFAULT 0;
