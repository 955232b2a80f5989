-- What calls under way held when the lease of their gateway ended: they may have been charged.
ALTER TABLE accounts ADD COLUMN adrift BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
-- So much higher than here an instance reports what it was granted.
ALTER TABLE accounts ADD COLUMN made_up BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
-- The first half of the SHA-256 of `body`. Records of before have none.
ALTER TABLE records ADD COLUMN digest BLOB;
