-- Uses go on counting when their period is replaced before its end: until when it would have
-- lasted, and when the last of them was made. Counters from before know neither and count in their
-- own period alone.

ALTER TABLE usage_counters ADD COLUMN period_end BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_counters ADD COLUMN last_used_at BIGINT NOT NULL DEFAULT 0;
