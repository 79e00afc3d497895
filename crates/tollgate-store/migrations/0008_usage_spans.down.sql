ALTER TABLE usage_counters DROP COLUMN last_used_at;
ALTER TABLE usage_counters DROP COLUMN period_end;
