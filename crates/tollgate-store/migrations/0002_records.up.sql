-- What happened and what is told of it.

-- hash covers the row and the hash of the row before it, so an altered or missing row shows.
CREATE TABLE billing_audit_log (
    account_id  {text} NOT NULL,
    sequence    BIGINT NOT NULL,
    kind        {text} NOT NULL,
    subject     {text} NOT NULL,
    actor       {text} NOT NULL,
    event_id    {text},
    occurred_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    details     {text} NOT NULL,
    hash        {bytes} NOT NULL,
    PRIMARY KEY (account_id, sequence)
) {clustered};

CREATE INDEX billing_audit_log_recorded ON billing_audit_log (recorded_at);

CREATE TABLE billing_events (
    account_id      {text} NOT NULL,
    sequence        BIGINT NOT NULL,
    kind            {text} NOT NULL,
    occurred_at     BIGINT NOT NULL,
    recorded_at     BIGINT NOT NULL,
    revision        BIGINT NOT NULL,
    stripe_event_id {text},
    payload         {text} NOT NULL,
    PRIMARY KEY (account_id, sequence)
);

-- One row per commit, for the caches of other instances; pruned.
CREATE TABLE change_feed (
    id       {identity},
    instance {text} NOT NULL,
    accounts {text} NOT NULL
);
