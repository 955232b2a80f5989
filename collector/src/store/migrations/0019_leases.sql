-- What an instance spent in about the last minute: it bounds what it can have spent unseen when its lease ends.
ALTER TABLE accounts ADD COLUMN rate BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
