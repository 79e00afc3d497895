-- Objects that live in a connected Stripe account and not in our own: Stripe shows one of these
-- only to requests that name its account.
CREATE TABLE connected_objects (
    object_id      {text} PRIMARY KEY,
    stripe_account {text} NOT NULL
) {clustered};

-- Statements on facts look into one account at a time. Where there are only a few accounts, PostgreSQL
-- would rather read what is relevant of all of them at once, however much that is: it is told that
-- an account has a hundred facts, whatever it counts.
{postgres:ALTER TABLE facts ALTER COLUMN account_id SET (n_distinct = -0.01);}
