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

-- Thin events, which name what has to be read. asks: an object, or the snapshot event of the same
-- happening; object_id: the object, where it is not asked for first. ending: how it stopped
-- waiting (read, told, gone, not_shown, nothing), and read_at when that was by Stripe's clock; where
-- it was read, every event made in an earlier second was answered by that.
CREATE TABLE thin_events (
    event_id       {text} NOT NULL,
    livemode       BOOLEAN NOT NULL,
    stripe_account {text} NOT NULL,
    asks           {text} NOT NULL,
    object_id      {text},
    snapshot_id    {text},
    created_at     BIGINT NOT NULL,
    ending         {text},
    read_at        BIGINT,
    account_id     {text},
    PRIMARY KEY (event_id, livemode, stripe_account)
) {updated_in_place};

CREATE INDEX thin_events_asks ON thin_events (asks, read_at);
CREATE INDEX thin_events_snapshot ON thin_events (snapshot_id) WHERE snapshot_id IS NOT NULL;
CREATE INDEX thin_events_open ON thin_events (created_at) WHERE read_at IS NULL;
CREATE INDEX thin_events_read ON thin_events (read_at) WHERE read_at IS NOT NULL;

-- Objects about which events left a doubt. asked is raised by every further doubt, so that a reply
-- settles only those that were known when the request was sent.
CREATE TABLE doubtful_objects (
    object_id        {text} PRIMARY KEY,
    reason           {text} NOT NULL,
    asked            BIGINT NOT NULL,
    attempts         BIGINT NOT NULL,
    next_attempt_at  BIGINT NOT NULL,
    lease_until      BIGINT,
    lease_generation BIGINT NOT NULL
) {updated_in_place};

CREATE INDEX doubtful_objects_due ON doubtful_objects (next_attempt_at);
