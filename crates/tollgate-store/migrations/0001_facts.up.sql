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
    created_at       BIGINT NOT NULL,
    updated_at       BIGINT NOT NULL
) {updated_in_place};

CREATE TABLE stripe_links (
    object_id  {text} PRIMARY KEY,
    account_id {text} NOT NULL,
    member_id  {text}
) {clustered};

CREATE TABLE customers (
    account_id  {text} NOT NULL,
    customer_id {text} NOT NULL,
    member_id   {text},
    email       {text},
    deleted     BOOLEAN NOT NULL,
    at          BIGINT,
    event_id    {text},
    PRIMARY KEY (account_id, customer_id)
) {clustered} {updated_in_place};

-- contenders: the observations that compete to be the state (JSON, opaque to SQL). The columns
-- after it are for people; they say what the winner says.
CREATE TABLE subscriptions (
    account_id           {text} NOT NULL,
    subscription_id      {text} NOT NULL,
    customer_id          {text},
    member_id            {text},
    contenders           {text} NOT NULL,
    status               {text} NOT NULL,
    current_period_start BIGINT,
    current_period_end   BIGINT,
    cancel_at            BIGINT,
    ended_at             BIGINT,
    trial_end            BIGINT,
    uncertain            BOOLEAN NOT NULL,
    PRIMARY KEY (account_id, subscription_id)
) {clustered} {updated_in_place};

-- Every observation of a subscription, once.
CREATE TABLE subscription_states (
    account_id      {text} NOT NULL,
    subscription_id {text} NOT NULL,
    at              BIGINT NOT NULL,
    lifecycle_rank  BIGINT NOT NULL,
    event_id        {text} NOT NULL,
    state           {text} NOT NULL,
    PRIMARY KEY (account_id, subscription_id, at, lifecycle_rank, event_id)
) {clustered};

CREATE TABLE subscription_invoices (
    account_id        {text} NOT NULL,
    invoice_id        {text} NOT NULL,
    subscription_id   {text},
    status            {text} NOT NULL,
    amount_due        BIGINT NOT NULL,
    amount_paid       BIGINT NOT NULL,
    currency          {text} NOT NULL,
    attempt_count     BIGINT NOT NULL,
    billing_reason    {text},
    collection_method {text},
    hosted_url        {text},
    period_start      BIGINT,
    period_end        BIGINT,
    created           BIGINT,
    paid_at           BIGINT,
    failed_attempts   {text} NOT NULL,
    at                BIGINT NOT NULL,
    event_id          {text} NOT NULL,
    PRIMARY KEY (account_id, invoice_id)
) {clustered} {updated_in_place};

CREATE TABLE purchases (
    account_id        {text} NOT NULL,
    session_id        {text} NOT NULL,
    mode              {text} NOT NULL,
    kind              {text} NOT NULL,
    claimed_plan      {text},
    member_id         {text},
    subscription_id   {text},
    payment_intent    {text},
    prices            {text} NOT NULL,
    subtotal          BIGINT,
    subtotal_currency {text},
    total             BIGINT,
    total_currency    {text},
    status            {text} NOT NULL,
    paid_at           BIGINT,
    failed_at         BIGINT,
    event_id          {text} NOT NULL,
    PRIMARY KEY (account_id, session_id)
) {clustered} {updated_in_place};

CREATE INDEX purchases_payment_intent ON purchases (account_id, payment_intent)
    WHERE payment_intent IS NOT NULL;

CREATE TABLE payment_adjustments (
    account_id     {text} NOT NULL,
    adjustment_id  {text} NOT NULL,
    kind           {text} NOT NULL,
    payment_intent {text},
    charge         {text},
    amount         BIGINT NOT NULL,
    currency       {text} NOT NULL,
    status         {text} NOT NULL,
    at             BIGINT NOT NULL,
    event_id       {text} NOT NULL,
    effective_at   BIGINT,
    PRIMARY KEY (account_id, adjustment_id)
) {clustered} {updated_in_place};

CREATE INDEX payment_adjustments_payment_intent ON payment_adjustments (account_id, payment_intent)
    WHERE payment_intent IS NOT NULL;

-- active: neither revoked nor replaced after its end; at most one of an account is.
CREATE TABLE fee_waivers (
    account_id     {text} NOT NULL,
    waiver_id      {text} NOT NULL,
    plan           {text} NOT NULL,
    reason         {text} NOT NULL,
    granted_by     {text} NOT NULL,
    granted_at     BIGINT NOT NULL,
    expires_at     BIGINT,
    internal_notes {text},
    revoked_at     BIGINT,
    revoked_by     {text},
    revoke_reason  {text},
    active         BOOLEAN NOT NULL,
    PRIMARY KEY (account_id, waiver_id)
);

CREATE UNIQUE INDEX fee_waivers_one_active ON fee_waivers (account_id) WHERE active;

CREATE TABLE grants (
    account_id    {text} NOT NULL,
    grant_id      {text} NOT NULL,
    plan          {text} NOT NULL,
    reason        {text} NOT NULL,
    granted_by    {text} NOT NULL,
    granted_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT,
    revoked_by    {text},
    revoke_reason {text},
    PRIMARY KEY (account_id, grant_id)
);

CREATE TABLE boosts (
    account_id    {text} NOT NULL,
    boost_id      {text} NOT NULL,
    member_id     {text},
    boost_count   BIGINT NOT NULL,
    reason        {text} NOT NULL,
    granted_by    {text} NOT NULL,
    granted_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT,
    revoked_by    {text},
    revoke_reason {text},
    PRIMARY KEY (account_id, boost_id)
);

-- effect: on, off, unlimited, or limit:<number>.
CREATE TABLE overrides (
    account_id    {text} NOT NULL,
    override_id   {text} NOT NULL,
    feature       {text} NOT NULL,
    effect        {text} NOT NULL,
    reason        {text} NOT NULL,
    granted_by    {text} NOT NULL,
    granted_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    revoked_at    BIGINT,
    revoked_by    {text},
    revoke_reason {text},
    PRIMARY KEY (account_id, override_id)
);

-- What was seen or reported once and must not be reported again.
CREATE TABLE noted_facts (
    account_id {text} NOT NULL,
    note       {text} NOT NULL,
    PRIMARY KEY (account_id, note)
) {clustered};

-- When an account is to be looked at because something of it ends.
CREATE TABLE account_schedule (
    account_id {text} PRIMARY KEY,
    due_at     BIGINT NOT NULL
) {clustered};

CREATE INDEX account_schedule_due ON account_schedule (due_at);
