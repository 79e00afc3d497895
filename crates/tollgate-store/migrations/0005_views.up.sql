-- For people: the same rows with readable times.

CREATE VIEW v_accounts AS
SELECT account_id, revision, sequence, journal_sequence, email,
    {instant:created_at} AS created_at, {instant:updated_at} AS updated_at
FROM accounts;

CREATE VIEW v_subscriptions AS
SELECT account_id, subscription_id, customer_id, member_id, status, uncertain,
    {instant:current_period_start} AS current_period_start,
    {instant:current_period_end} AS current_period_end,
    {instant:cancel_at} AS cancel_at, {instant:ended_at} AS ended_at,
    {instant:trial_end} AS trial_end, contenders
FROM subscriptions;

CREATE VIEW v_subscription_states AS
SELECT account_id, subscription_id, {instant:at} AS at, lifecycle_rank, event_id, state
FROM subscription_states;

CREATE VIEW v_subscription_invoices AS
SELECT account_id, invoice_id, subscription_id, status, amount_due, amount_paid, currency,
    attempt_count, billing_reason, {instant:period_start} AS period_start,
    {instant:period_end} AS period_end, {instant:created} AS created, {instant:paid_at} AS paid_at,
    failed_attempts, {instant:at} AS at, event_id
FROM subscription_invoices;

CREATE VIEW v_purchases AS
SELECT account_id, session_id, mode, kind, claimed_plan, member_id, subscription_id,
    payment_intent, prices, subtotal, subtotal_currency, total, total_currency, status,
    {instant:paid_at} AS paid_at, {instant:failed_at} AS failed_at, event_id
FROM purchases;

CREATE VIEW v_fee_waivers AS
SELECT account_id, waiver_id, plan, reason, granted_by, {instant:granted_at} AS granted_at,
    {instant:expires_at} AS expires_at, {instant:revoked_at} AS revoked_at, revoked_by,
    revoke_reason, active
FROM fee_waivers;

CREATE VIEW v_billing_audit_log AS
SELECT account_id, sequence, kind, subject, actor, event_id,
    {instant:occurred_at} AS occurred_at, {instant:recorded_at} AS recorded_at, details
FROM billing_audit_log;

CREATE VIEW v_billing_events AS
SELECT account_id, sequence, kind, {instant:occurred_at} AS occurred_at,
    {instant:recorded_at} AS recorded_at, revision, stripe_event_id, payload
FROM billing_events;

CREATE VIEW v_webhook_events AS
SELECT event_id, livemode, stripe_account, event_type, api_version, status, reason, attempts,
    account_id, object_id, {instant:created_at} AS created_at, {instant:received_at} AS received_at,
    {instant:processed_at} AS processed_at, {instant:next_attempt_at} AS next_attempt_at,
    duration_us, duplicates, lease_owner, {instant:lease_until} AS lease_until, body_len
FROM webhook_events;
