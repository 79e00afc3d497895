-- Keys, single values of the deployment, work of its servers, and what is being bought.

CREATE TABLE api_keys (
    id           {text} PRIMARY KEY,
    name         {text} NOT NULL,
    secret_hash  {bytes} NOT NULL,
    scopes       {text} NOT NULL,
    account_id   {text},
    expires_at   BIGINT,
    created_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    last_used_at BIGINT
);

CREATE TABLE meta (
    name  {text} PRIMARY KEY,
    value {text} NOT NULL
);

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

-- Calls that create or change something at Stripe, noted before they are made, and what they are
-- made for.

CREATE TABLE stripe_requests (
    account_id    {text} NOT NULL,
    -- What the call is for: the id of a claim or an attempt, or an object with what is done to it.
    subject       {text} NOT NULL,
    -- Part of the idempotency key; raised when a new key is due.
    generation    BIGINT NOT NULL,
    -- The parameters of the call, sent again byte for byte; emptied when it is settled.
    form          {text} NOT NULL,
    first_sent_at BIGINT,
    last_sent_at  BIGINT,
    -- What the call made or changed.
    object_id     {text},
    settled_at    BIGINT,
    PRIMARY KEY (account_id, subject)
) {clustered} {updated_in_place};

CREATE TABLE customer_claims (
    account_id  {text} NOT NULL,
    -- Empty for the account itself.
    member_id   {text} NOT NULL,
    claim_id    {text} NOT NULL,
    customer_id {text},
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (account_id, member_id)
) {clustered} {updated_in_place};

CREATE TABLE checkout_attempts (
    account_id  {text} NOT NULL,
    attempt_id  {text} NOT NULL,
    member_id   {text} NOT NULL,
    -- What is bought, apart from how much and at which price: plan, badge, boost.
    kind        {text} NOT NULL,
    -- Hash of everything the purchase consists of; the same purchase gets the same session.
    fingerprint {text} NOT NULL,
    -- open, complete, expired, replaced
    status      {text} NOT NULL,
    session_id  {text},
    url         {text},
    expires_at  BIGINT,
    -- Set before its session is asked for: from then on there may be one.
    sent_at     BIGINT,
    created_at  BIGINT NOT NULL,
    closed_at   BIGINT,
    PRIMARY KEY (account_id, attempt_id)
) {clustered};

-- At most one purchase of a kind is pending.
CREATE UNIQUE INDEX checkout_attempts_open ON checkout_attempts (account_id, member_id, kind)
    WHERE status = 'open';
CREATE INDEX checkout_attempts_by_session ON checkout_attempts (session_id)
    WHERE session_id IS NOT NULL;
