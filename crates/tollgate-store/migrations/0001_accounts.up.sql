-- Accounts and what is known of them. Every table is keyed by account first, so that the schema
-- can be spread over machines by account; stripe_links is the one lookup table.
-- There are no foreign keys: a check per row would cost the intake more than the insert itself,
-- and accounts are removed by one function that knows every table.

CREATE TABLE accounts (
    account_id       {text} PRIMARY KEY,
    revision         BIGINT NOT NULL,
    sequence         BIGINT NOT NULL,
    journal_hash     {bytes} NOT NULL,
    -- When something of it ends next, or is to be looked at again.
    due_at           BIGINT,
    email            {text},
    -- A hash of the e-mail in lower case, as events wait for it, for finding the account by it.
    email_key        {text},
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
) {updated_in_place};

CREATE INDEX accounts_due ON accounts (due_at, account_id) WHERE due_at IS NOT NULL;
CREATE INDEX accounts_email ON accounts (email_key) WHERE email_key IS NOT NULL;

-- root_id: the object that stands for the group, itself for one that does. basis: why the group
-- belongs to the account, on the row of its root, else empty. follows: the customer whose account it
-- is, where that is why. gone_at: when a customer was first seen deleted at Stripe, which concerns
-- every account it pays for.
CREATE TABLE stripe_links (
    object_id  {text} PRIMARY KEY,
    account_id {text} NOT NULL,
    root_id    {text} NOT NULL,
    basis      {text} NOT NULL,
    follows    {text},
    gone_at    BIGINT
) {clustered};

CREATE INDEX stripe_links_group ON stripe_links (root_id) WHERE root_id <> object_id;
CREATE INDEX stripe_links_follows ON stripe_links (follows) WHERE follows IS NOT NULL;

-- Everything known of an account, one row for each fact. body: the JSON of the fact, opaque to the
-- product's statements. relevant_from, relevant_until: the span of time in which the fact can
-- change an answer (a finding: while it is open); without them the row is found by its id or its
-- reference only (observations of subscriptions that others followed, refunds, which payment paid an
-- invoice). relevant_class: how long that span is at most, so that those that meet an instant lie in a
-- short range of the index for each class. proves_from: of a paid invoice, when the first span begins
-- that it was paid for. reference: what other facts refer to it by: a payment, a subscription, an
-- invoice. A row may have more than a kilobyte, which SQLite would keep on a page of its own inside the
-- key's tree; so this table and the journal have a tree of rows beside it.
CREATE TABLE facts (
    account_id     {text} NOT NULL,
    kind           {text} NOT NULL,
    fact_id        {text} NOT NULL,
    reference      {text},
    relevant_from  BIGINT,
    relevant_until BIGINT,
    relevant_class BIGINT,
    proves_from    BIGINT,
    body           {text} NOT NULL,
    PRIMARY KEY (account_id, kind, fact_id)
) {updated_in_place};

CREATE INDEX facts_relevant ON facts (account_id, relevant_class, relevant_until, relevant_from)
    WHERE relevant_until IS NOT NULL;
CREATE INDEX facts_findings ON facts (fact_id, account_id) WHERE kind = 'finding';
CREATE INDEX facts_customers ON facts (fact_id, account_id) WHERE kind = 'customer';
CREATE INDEX facts_reference ON facts (account_id, kind, reference, relevant_until)
    WHERE reference IS NOT NULL;

-- Statements on facts look into one account at a time. Where there are only a few accounts, PostgreSQL
-- would rather read what is relevant of all of them at once, however much that is: it is told that
-- an account has a hundred facts, whatever it counts.
{postgres:ALTER TABLE facts ALTER COLUMN account_id SET (n_distinct = -0.01);}

-- Objects that live in a connected Stripe account and not in our own: Stripe shows one of these
-- only to requests that name its account.
CREATE TABLE connected_objects (
    object_id      {text} PRIMARY KEY,
    stripe_account {text} NOT NULL
) {clustered};

-- The journal of each account: the audit log, and what consumers are told of. billing: the type of the
-- billing event, of entries that tell one. state: what its envelope shows of the account. hash
-- covers the row and the hash of the row before it, so an altered or missing row shows.
CREATE TABLE journal_entries (
    account_id  {text} NOT NULL,
    sequence    BIGINT NOT NULL,
    kind        {text} NOT NULL,
    subject     {text} NOT NULL,
    actor       {text} NOT NULL,
    event_id    {text},
    occurred_at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    revision    BIGINT NOT NULL,
    details     {text} NOT NULL,
    billing     {text},
    state       {text},
    hash        {bytes} NOT NULL,
    PRIMARY KEY (account_id, sequence)
);

CREATE INDEX journal_entries_recorded ON journal_entries (recorded_at);

-- One row per commit, for the caches of other instances; pruned.
CREATE TABLE change_feed (
    id       {identity},
    instance {text} NOT NULL,
    accounts {text} NOT NULL
);

-- Where an account's journal begins once its older entries are removed: the last removed entry and
-- its hash, which the chain goes on from.

CREATE TABLE journal_anchors (
    account_id {text} PRIMARY KEY,
    sequence   BIGINT NOT NULL,
    hash       {bytes} NOT NULL
) {clustered} {updated_in_place};

-- Uses counted in their period; they go on counting when it is replaced before its end.
CREATE TABLE usage_counters (
    account_id   {text} NOT NULL,
    feature      {text} NOT NULL,
    period_start BIGINT NOT NULL,
    quantity     BIGINT NOT NULL,
    -- Until when the period would have lasted, had nothing replaced it before.
    period_end   BIGINT NOT NULL,
    -- When the last of these uses was made.
    last_used_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, feature, period_start)
) {clustered} {updated_in_place};
