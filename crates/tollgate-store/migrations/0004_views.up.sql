-- For people: the same rows with readable times.

CREATE VIEW v_accounts AS
SELECT account_id, revision, sequence, email,
    {instant:created_at} AS created_at, {instant:updated_at} AS updated_at
FROM accounts;

-- Facts by kind, under the names operators know.

CREATE VIEW customers AS
SELECT account_id,
    fact_id AS customer_id,
    {field:body.member} AS member_id,
    {field:body.email} AS email,
    COALESCE(CAST({field:body.deleted} AS TEXT), 'false') IN ('true', '1') AS deleted,
    {instant_field:body.at} AS at,
    {field:body.event} AS event_id
FROM facts WHERE kind = 'customer';

CREATE VIEW subscriptions AS
SELECT account_id,
    fact_id AS subscription_id,
    {field:body.fact.customer} AS customer_id,
    {field:body.fact.member} AS member_id,
    {field:body.shown.status} AS status,
    COALESCE(CAST({field:body.shown.uncertain} AS TEXT), 'false') IN ('true', '1') AS uncertain,
    {instant_field:body.shown.current_period_start} AS current_period_start,
    {instant_field:body.shown.current_period_end} AS current_period_end,
    {instant_field:body.shown.cancel_at} AS cancel_at,
    {instant_field:body.shown.ended_at} AS ended_at,
    {instant_field:body.shown.trial_end} AS trial_end,
    {field:body.fact.contenders} AS contenders
FROM facts WHERE kind = 'subscription';

CREATE VIEW subscription_states AS
SELECT account_id,
    fact_id AS observation_id,
    {instant_field:body.version.at} AS at,
    {field:body.version.rank} AS lifecycle_rank,
    {field:body.version.event} AS event_id,
    {field:body.status} AS status,
    body AS state
FROM facts WHERE kind IN ('observation_open', 'observation_settled', 'observation_final');

CREATE VIEW subscription_invoices AS
SELECT account_id,
    fact_id AS invoice_id,
    {field:body.subscription} AS subscription_id,
    {field:body.state.status} AS status,
    CAST({field:body.state.amount_due_minor} AS BIGINT) AS amount_due,
    CAST({field:body.state.amount_paid_minor} AS BIGINT) AS amount_paid,
    {field:body.state.currency} AS currency,
    CAST({field:body.state.attempt_count} AS BIGINT) AS attempt_count,
    {field:body.state.billing_reason} AS billing_reason,
    {field:body.state.collection_method} AS collection_method,
    {instant_field:body.state.period_start} AS period_start,
    {instant_field:body.state.period_end} AS period_end,
    {instant_field:body.state.created} AS created,
    {instant_field:body.paid_at} AS paid_at,
    {field:body.failed_attempts} AS failed_attempts,
    {instant_field:body.state.at} AS at,
    {field:body.state.event} AS event_id
FROM facts WHERE kind = 'invoice';

CREATE VIEW purchases AS
SELECT account_id,
    fact_id AS session_id,
    {field:body.mode} AS mode,
    {field:body.kind} AS kind,
    {field:body.member} AS member_id,
    {field:body.subscription} AS subscription_id,
    {field:body.payment_intent} AS payment_intent,
    {field:body.prices} AS prices,
    CAST({field:body.subtotal.amount_minor} AS BIGINT) AS subtotal,
    CAST({field:body.total.amount_minor} AS BIGINT) AS total,
    {field:body.total.currency} AS currency,
    {field:body.status} AS status,
    {instant_field:body.paid_at} AS paid_at,
    {instant_field:body.failed_at} AS failed_at,
    {field:body.event} AS event_id
FROM facts WHERE kind = 'purchase';

CREATE VIEW payment_adjustments AS
SELECT account_id,
    fact_id AS adjustment_id,
    {field:body.kind} AS kind,
    {field:body.payment_intent} AS payment_intent,
    {field:body.charge} AS charge,
    CAST({field:body.amount.amount_minor} AS BIGINT) AS amount,
    {field:body.amount.currency} AS currency,
    {field:body.status} AS status,
    {instant_field:body.at} AS at,
    {field:body.event} AS event_id,
    {instant_field:body.effective_at} AS effective_at
FROM facts WHERE kind = 'adjustment';

-- What people gave, of every kind, and each kind under its own name.

CREATE VIEW operator_facts AS
SELECT account_id, fact_id,
    {field:body.effect.kind} AS kind,
    {field:body.effect.plan} AS plan,
    {field:body.effect.member} AS member_id,
    CAST({field:body.effect.count} AS BIGINT) AS boost_count,
    {field:body.effect.feature} AS feature,
    {field:body.effect.what} AS effect,
    {field:body.terms.reason} AS reason,
    {field:body.terms.granted_by} AS granted_by,
    {instant_field:body.terms.granted_at} AS granted_at,
    {instant_field:body.terms.expires_at} AS expires_at,
    {instant_field:body.revocation.at} AS revoked_at,
    {field:body.revocation.by} AS revoked_by,
    {field:body.revocation.reason} AS revoke_reason
FROM facts WHERE kind = 'operator';

CREATE VIEW fee_waivers AS
SELECT account_id, fact_id AS waiver_id, plan, reason, granted_by, granted_at, expires_at,
    revoked_at, revoked_by, revoke_reason
FROM operator_facts WHERE kind = 'waiver';

CREATE VIEW grants AS
SELECT account_id, fact_id AS grant_id, plan, reason, granted_by, granted_at, expires_at,
    revoked_at, revoked_by, revoke_reason
FROM operator_facts WHERE kind = 'grant';

CREATE VIEW boosts AS
SELECT account_id, fact_id AS boost_id, member_id, boost_count, reason, granted_by, granted_at,
    expires_at, revoked_at, revoked_by, revoke_reason
FROM operator_facts WHERE kind = 'boost';

CREATE VIEW overrides AS
SELECT account_id, fact_id AS override_id, feature, effect, reason, granted_by, granted_at,
    expires_at, revoked_at, revoked_by, revoke_reason
FROM operator_facts WHERE kind = 'override';

CREATE VIEW findings AS
SELECT NULLIF(account_id, '') AS account_id,
    {field:body.code} AS code,
    {field:body.subject} AS subject,
    {instant_field:body.since} AS since,
    {field:body.detail} AS detail,
    {field:body.objects} AS objects,
    {instant_field:body.closed_at} AS closed_at
FROM facts WHERE kind = 'finding';

CREATE VIEW v_billing_audit_log AS
SELECT account_id, sequence, kind, subject, actor, event_id,
    {instant:occurred_at} AS occurred_at, {instant:recorded_at} AS recorded_at, details
FROM journal_entries;

CREATE VIEW v_billing_events AS
SELECT account_id, sequence, billing AS kind, {instant:occurred_at} AS occurred_at,
    {instant:recorded_at} AS recorded_at, revision, event_id AS stripe_event_id, state
FROM journal_entries WHERE billing IS NOT NULL;

CREATE VIEW v_webhook_events AS
SELECT event_id, livemode, stripe_account, event_type, api_version, status, reason, attempts,
    account_id, object_id, {instant:created_at} AS created_at, {instant:received_at} AS received_at,
    {instant:processed_at} AS processed_at, {instant:next_attempt_at} AS next_attempt_at,
    duration_us, duplicates, lease_owner, {instant:lease_until} AS lease_until, body_len
FROM webhook_events;
