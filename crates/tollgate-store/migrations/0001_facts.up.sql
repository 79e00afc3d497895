-- Accounts and what is known of them. Every table is keyed by account first, so that the schema
-- can be spread over machines by account; stripe_links is the one lookup table.
-- There are no foreign keys: a check per row would cost the intake more than the insert itself,
-- and accounts are removed by one function that knows every table.

CREATE TABLE accounts (
    account_id       {text} PRIMARY KEY,
    revision         BIGINT NOT NULL,
    sequence         BIGINT NOT NULL,
    journal_sequence BIGINT NOT NULL,
    journal_hash     {bytes} NOT NULL,
    email            {text},
    -- A hash of the e-mail in lower case, as events wait for it, for finding the account by it.
    email_key        {text},
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
) {updated_in_place};

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
-- invoice, notes of what was told once). relevant_class: how long that span is at most, so that those
-- that meet an instant lie in a short range of the index for each class. proves_from: of a paid
-- invoice, when the first span begins that it was paid for. reference: what other facts refer to it by: a payment, a
-- subscription, an invoice, the object a note is about.
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
) {clustered} {updated_in_place};

CREATE INDEX facts_relevant ON facts (account_id, relevant_class, relevant_until, relevant_from)
    WHERE relevant_until IS NOT NULL;
CREATE INDEX facts_findings ON facts (fact_id, account_id) WHERE kind = 'finding';
CREATE INDEX facts_customers ON facts (fact_id, account_id) WHERE kind = 'customer';
CREATE INDEX facts_reference ON facts (account_id, kind, reference, relevant_until)
    WHERE reference IS NOT NULL;

-- When an account is to be looked at because something of it ends.
CREATE TABLE account_schedule (
    account_id {text} PRIMARY KEY,
    due_at     BIGINT NOT NULL
) {clustered};

CREATE INDEX account_schedule_due ON account_schedule (due_at);
