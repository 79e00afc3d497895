DROP TABLE account_schedule;
DROP TABLE facts;
DROP TABLE stripe_links;
DROP TABLE accounts;
