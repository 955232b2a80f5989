-- What was the limit of the window before, for a budget that carries over: what is not committed there of it is added to
-- this one's limit. NULL while that window is not over. Counters from before this have what was carried over in `extra`.
ALTER TABLE counters ADD COLUMN carried_from BLOB DEFAULT x'00000000000000000000000000000000';
