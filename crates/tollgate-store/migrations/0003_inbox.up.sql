-- Stripe's events as they came, kept for ever.
-- processed_at is set as soon as nothing is left to do (processed, ignored); rows without it are
-- the open ones, and the partial indexes hold only those, so the common event pays for the
-- primary key and one narrow index.
-- body_codec: 0 plain, -1 zstd, a positive number: zstd with the dictionary of that id.

CREATE TABLE webhook_events (
    event_id         {text} NOT NULL,
    livemode         BOOLEAN NOT NULL,
    stripe_account   {text} NOT NULL,
    event_type       {text} NOT NULL,
    api_version      {text},
    created_at       BIGINT,
    signed_at        BIGINT,
    received_at      BIGINT NOT NULL,
    account_id       {text},
    object_id        {text},
    body_codec       BIGINT NOT NULL,
    body_len         BIGINT NOT NULL,
    status           {text} NOT NULL,
    reason           {text},
    attempts         BIGINT NOT NULL,
    next_attempt_at  BIGINT,
    processed_at     BIGINT,
    duration_us      BIGINT,
    duplicates       BIGINT NOT NULL DEFAULT 0,
    lease_owner      {text},
    lease_until      BIGINT,
    lease_generation BIGINT NOT NULL DEFAULT 0,
    body             {bytes} NOT NULL,
    PRIMARY KEY (event_id, livemode, stripe_account)
);

-- Bodies come squeezed; trying to squeeze them again costs much and gains nothing.
{postgres:ALTER TABLE webhook_events ALTER COLUMN body SET STORAGE EXTERNAL;}

CREATE INDEX webhook_events_received ON webhook_events (received_at);
CREATE INDEX webhook_events_due ON webhook_events (next_attempt_at) WHERE processed_at IS NULL;
CREATE INDEX webhook_events_open ON webhook_events (account_id, received_at)
    WHERE processed_at IS NULL;

CREATE INDEX webhook_events_pending ON webhook_events (status, received_at, event_id)
    WHERE processed_at IS NULL;
CREATE INDEX webhook_events_stuck ON webhook_events (object_id) WHERE processed_at IS NULL;

-- What events without an owner wait for: objects that may be linked, prices that may be mapped,
-- e-mails that may become an account's.
CREATE TABLE event_waits (
    object_id      {text} NOT NULL,
    event_id       {text} NOT NULL,
    livemode       BOOLEAN NOT NULL,
    stripe_account {text} NOT NULL,
    PRIMARY KEY (object_id, event_id, livemode, stripe_account)
) {clustered};

CREATE INDEX event_waits_event ON event_waits (event_id, livemode, stripe_account);

-- What came about of what events wait for; taken away when they were woken.
CREATE TABLE event_wakes (
    id        {identity},
    object_id {text} NOT NULL
);

CREATE TABLE body_dictionaries (
    id    BIGINT PRIMARY KEY,
    bytes {bytes} NOT NULL
);
