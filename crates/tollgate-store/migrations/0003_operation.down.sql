DROP TABLE checkout_attempts;
DROP TABLE customer_claims;
DROP TABLE stripe_requests;
DROP TABLE reconciliation_runs;
DROP TABLE leases;
DROP TABLE meta;
DROP TABLE api_keys;
