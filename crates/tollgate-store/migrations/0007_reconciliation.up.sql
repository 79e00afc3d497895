-- What has to be asked at Stripe, who may do so, and how comparisons with Stripe went.

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

-- Work that only one instance does at a time. generation is raised whenever a lease changes hands.
CREATE TABLE leases (
    name       {text} PRIMARY KEY,
    owner      {text} NOT NULL,
    held_until BIGINT NOT NULL,
    generation BIGINT NOT NULL
) {updated_in_place};

-- status: running, done, failed. A running one whose lease has ended is gone on with from its
-- progress (JSON, opaque to SQL, as is its report).
CREATE TABLE reconciliation_runs (
    run_id      {text} PRIMARY KEY,
    kind        {text} NOT NULL,
    account_id  {text},
    dry_run     BOOLEAN NOT NULL,
    status      {text} NOT NULL,
    progress    {text} NOT NULL,
    report      {text} NOT NULL,
    error       {text},
    started_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    finished_at BIGINT
) {updated_in_place};

CREATE INDEX reconciliation_runs_started ON reconciliation_runs (started_at);

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
