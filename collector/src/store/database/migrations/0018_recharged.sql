-- What the prices found here have taken off what gateways keep above the records' costs: see `seed`, which has what they have
-- taken off what is used.
ALTER TABLE counters ADD COLUMN kept BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
