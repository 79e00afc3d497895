DROP TABLE usage_counters;
DROP TABLE journal_anchors;
DROP TABLE change_feed;
DROP TABLE journal_entries;
DROP TABLE connected_objects;
DROP TABLE facts;
DROP TABLE stripe_links;
DROP TABLE accounts;
