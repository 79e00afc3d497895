//! Writing our own facts: waivers, grants, boosts, overrides. Owns: one statement per kind for a
//! whole batch. Must not know: who may give what.

use std::borrow::Cow;

use tollgate_domain::facts::{BoostGrant, Grant, Override, OverrideEffect, Revocation, Waiver};

use super::save::{Keyed, millis, opt};
use crate::db::Tx;
use crate::error::StoreError;
use crate::statement::{Rows, statements};

statements! {
    /// A waiver whose end has come makes room for the next one.
    RETIRE_WAIVERS = "WITH {rows:account_id text, waiver_id text, granted_at bigint} \
        UPDATE fee_waivers SET active = false FROM r \
        WHERE fee_waivers.account_id = r.account_id AND fee_waivers.waiver_id <> r.waiver_id \
            AND fee_waivers.active AND fee_waivers.expires_at <= r.granted_at";

    WAIVERS = "WITH {rows:account_id text, waiver_id text, plan text, reason text, \
            granted_by text, granted_at bigint, expires_at bigint, internal_notes text, \
            revoked_at bigint, revoked_by text, revoke_reason text} \
        INSERT INTO fee_waivers (account_id, waiver_id, plan, reason, granted_by, granted_at, \
            expires_at, internal_notes, revoked_at, revoked_by, revoke_reason, active) \
        SELECT account_id, waiver_id, plan, reason, granted_by, granted_at, expires_at, \
            internal_notes, revoked_at, revoked_by, revoke_reason, revoked_at IS NULL \
        FROM r WHERE true \
        ON CONFLICT (account_id, waiver_id) DO UPDATE SET plan = excluded.plan, \
            reason = excluded.reason, granted_by = excluded.granted_by, \
            granted_at = excluded.granted_at, expires_at = excluded.expires_at, \
            internal_notes = excluded.internal_notes, revoked_at = excluded.revoked_at, \
            revoked_by = excluded.revoked_by, revoke_reason = excluded.revoke_reason, \
            active = fee_waivers.active AND excluded.active";

    GRANTS = "WITH {rows:account_id text, grant_id text, plan text, reason text, \
            granted_by text, granted_at bigint, expires_at bigint, revoked_at bigint, \
            revoked_by text, revoke_reason text} \
        INSERT INTO grants (account_id, grant_id, plan, reason, granted_by, granted_at, \
            expires_at, revoked_at, revoked_by, revoke_reason) \
        SELECT account_id, grant_id, plan, reason, granted_by, granted_at, expires_at, \
            revoked_at, revoked_by, revoke_reason \
        FROM r WHERE true \
        ON CONFLICT (account_id, grant_id) DO UPDATE SET plan = excluded.plan, \
            reason = excluded.reason, granted_by = excluded.granted_by, \
            granted_at = excluded.granted_at, expires_at = excluded.expires_at, \
            revoked_at = excluded.revoked_at, revoked_by = excluded.revoked_by, \
            revoke_reason = excluded.revoke_reason";

    BOOSTS = "WITH {rows:account_id text, boost_id text, member_id text, boost_count bigint, \
            reason text, granted_by text, granted_at bigint, expires_at bigint, \
            revoked_at bigint, revoked_by text, revoke_reason text} \
        INSERT INTO boosts (account_id, boost_id, member_id, boost_count, reason, granted_by, \
            granted_at, expires_at, revoked_at, revoked_by, revoke_reason) \
        SELECT account_id, boost_id, member_id, boost_count, reason, granted_by, granted_at, \
            expires_at, revoked_at, revoked_by, revoke_reason \
        FROM r WHERE true \
        ON CONFLICT (account_id, boost_id) DO UPDATE SET member_id = excluded.member_id, \
            boost_count = excluded.boost_count, reason = excluded.reason, \
            granted_by = excluded.granted_by, granted_at = excluded.granted_at, \
            expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, \
            revoked_by = excluded.revoked_by, revoke_reason = excluded.revoke_reason";

    OVERRIDES = "WITH {rows:account_id text, override_id text, feature text, effect text, \
            reason text, granted_by text, granted_at bigint, expires_at bigint, \
            revoked_at bigint, revoked_by text, revoke_reason text} \
        INSERT INTO overrides (account_id, override_id, feature, effect, reason, granted_by, \
            granted_at, expires_at, revoked_at, revoked_by, revoke_reason) \
        SELECT account_id, override_id, feature, effect, reason, granted_by, granted_at, \
            expires_at, revoked_at, revoked_by, revoke_reason \
        FROM r WHERE true \
        ON CONFLICT (account_id, override_id) DO UPDATE SET feature = excluded.feature, \
            effect = excluded.effect, reason = excluded.reason, \
            granted_by = excluded.granted_by, granted_at = excluded.granted_at, \
            expires_at = excluded.expires_at, revoked_at = excluded.revoked_at, \
            revoked_by = excluded.revoked_by, revoke_reason = excluded.revoke_reason";
}

/// The three last columns of our own facts.
fn revoked<'a, T>(
    rows: Rows<'a, Keyed<'a, T>>,
    of: impl Fn(&'a T) -> Option<&'a Revocation>,
) -> Rows<'a, Keyed<'a, T>> {
    rows.opt_bigint(|(_, fact)| of(fact).map(|revoked| revoked.at.millis()))
        .opt_prose(|(_, fact)| of(fact).map(|revoked| revoked.by.as_str()))
        .opt_prose(|(_, fact)| of(fact).and_then(|revoked| revoked.reason.as_deref()))
}

pub(super) async fn waivers(tx: &mut Tx, facts: Vec<Keyed<'_, Waiver>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .bigint(|(_, fact)| fact.granted_at.millis());
    RETIRE_WAIVERS.on(&mut *tx).rows(rows).execute().await?;
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .text(|(_, fact)| fact.plan.as_str())
        .prose(|(_, fact)| &fact.reason)
        .prose(|(_, fact)| &fact.granted_by)
        .bigint(|(_, fact)| fact.granted_at.millis())
        .opt_bigint(|(_, fact)| millis(fact.expires_at))
        .opt_prose(|(_, fact)| fact.internal_notes.as_deref());
    let rows = revoked(rows, |fact| fact.revoked.as_ref());
    WAIVERS.on(tx).rows(rows).execute().await.map(|_| ())
}

pub(super) async fn grants(tx: &mut Tx, facts: Vec<Keyed<'_, Grant>>) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .text(|(_, fact)| fact.plan.as_str())
        .prose(|(_, fact)| &fact.reason)
        .prose(|(_, fact)| &fact.granted_by)
        .bigint(|(_, fact)| fact.granted_at.millis())
        .opt_bigint(|(_, fact)| millis(fact.expires_at));
    let rows = revoked(rows, |fact| fact.revoked.as_ref());
    GRANTS.on(tx).rows(rows).execute().await.map(|_| ())
}

pub(super) async fn boosts(
    tx: &mut Tx,
    facts: Vec<Keyed<'_, BoostGrant>>,
) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .opt_text(|(_, fact)| opt(fact.member.as_ref()))
        .bigint(|(_, fact)| i64::from(fact.count))
        .prose(|(_, fact)| &fact.reason)
        .prose(|(_, fact)| &fact.granted_by)
        .bigint(|(_, fact)| fact.granted_at.millis())
        .opt_bigint(|(_, fact)| millis(fact.expires_at));
    let rows = revoked(rows, |fact| fact.revoked.as_ref());
    BOOSTS.on(tx).rows(rows).execute().await.map(|_| ())
}

pub(super) async fn overrides(
    tx: &mut Tx,
    facts: Vec<Keyed<'_, Override>>,
) -> Result<(), StoreError> {
    if facts.is_empty() {
        return Ok(());
    }
    let rows = Rows::of(&facts)
        .text(|((account, _), _)| account)
        .text(|((_, id), _)| id)
        .text(|(_, fact)| fact.feature.as_str())
        .made_text(|(_, fact)| effect(fact.effect))
        .prose(|(_, fact)| &fact.reason)
        .prose(|(_, fact)| &fact.granted_by)
        .bigint(|(_, fact)| fact.granted_at.millis())
        .opt_bigint(|(_, fact)| millis(fact.expires_at));
    let rows = revoked(rows, |fact| fact.revoked.as_ref());
    OVERRIDES.on(tx).rows(rows).execute().await.map(|_| ())
}

fn effect(effect: OverrideEffect) -> Cow<'static, str> {
    match effect {
        OverrideEffect::On => Cow::Borrowed("on"),
        OverrideEffect::Off => Cow::Borrowed("off"),
        OverrideEffect::Limit(None) => Cow::Borrowed("unlimited"),
        OverrideEffect::Limit(Some(limit)) => Cow::Owned(format!("limit:{limit}")),
    }
}
