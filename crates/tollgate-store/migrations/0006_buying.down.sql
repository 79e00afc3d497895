DROP TABLE checkout_attempts;
DROP TABLE customer_claims;
DROP TABLE stripe_requests;
