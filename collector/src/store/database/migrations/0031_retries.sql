-- Which records are retries (store/facets/follow.rs): 1, the agent sent the same request shortly before; 2, Envoy tried it
-- more than once. Null of all others, and of those that were followed before this was kept.
ALTER TABLE records ADD COLUMN retry INTEGER;

-- Pages of retries alone.
CREATE INDEX records_retried ON records (time_ms, seq, dims, outcome, cost_status) WHERE retry IS NOT NULL;
