DROP TABLE change_feed;
DROP TABLE billing_events;
DROP TABLE billing_audit_log;
