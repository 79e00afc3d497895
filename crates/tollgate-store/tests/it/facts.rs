//! Facts of every kind, there and back.

use std::collections::{BTreeMap, HashMap};

use proptest::strategy::Strategy as _;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Waiver;
use tollgate_domain::ids::{AccountId, CustomerId, FactId, PlanId, SessionId, SubscriptionId};
use tollgate_domain::{Facts, Link};
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::{Db, StoreError, facts, links};

use crate::database::write;
use crate::sample::{self, Source, account, at, head, object};

/// Writes changes of accounts in one transaction, heads included.
async fn save(db: &Db, all: &[(AccountId, Vec<Change>)]) -> Result<(), StoreError> {
    let heads: Vec<AccountHead> = all.iter().map(|(id, _)| head(id.as_str())).collect();
    let changes: Vec<(&AccountId, &[Change])> =
        all.iter().map(|(id, changes)| (id, changes.as_slice())).collect();
    write(db, async |tx| {
        accounts::save(tx, &heads, at(0)).await?;
        facts::save(tx, &changes).await
    })
    .await
}

fn drawn(count: usize) -> Vec<(AccountId, Vec<Change>)> {
    let mut source = Source::new();
    let one = |n| (account(&format!("acct-{n:03}")), source.draw(&sample::changes()));
    (0..count).map(one).collect()
}

fn waiver(id: &str) -> Waiver {
    Waiver {
        id: FactId::parse(id).unwrap(),
        plan: PlanId::parse("elite").unwrap(),
        reason: "a partner of ours".to_owned(),
        granted_by: "ada".to_owned(),
        granted_at: at(0),
        expires_at: Some(at(100)),
        internal_notes: None,
        revoked: None,
    }
}

on_both! {
    facts_of_every_kind_come_back_as_they_were: |db| async {
        let all = drawn(150);
        save(db, &all).await.unwrap();
        let expected: BTreeMap<AccountId, Facts> =
            all.iter().map(|(id, changes)| (id.clone(), sample::facts(id, changes))).collect();
        let ids: Vec<AccountId> = expected.keys().cloned().collect();
        let loaded = facts::load_many(db, &ids).await.unwrap();
        for (id, facts) in &expected {
            assert_eq!(loaded.get(id), Some(facts));
        }
        assert_eq!(&facts::load(db, &ids[3]).await.unwrap(), &expected[&ids[3]]);
        write(db, async |tx| {
            assert_eq!(&facts::load_in(tx, &ids[4]).await?, &expected[&ids[4]]);
            Ok(())
        }).await.unwrap();
    }

    saving_again_replaces_and_keeps_history: |db| async {
        let all = drawn(20);
        save(db, &all).await.unwrap();
        save(db, &all).await.unwrap();
        let mut source = Source::new();
        for (id, changes) in &all {
            // The same objects with other values.
            let other: Vec<Change> = changes.iter().map(|change| match change {
                Change::SaveCustomer(customer) => {
                    let mut customer = customer.clone();
                    customer.email = Some("other@example.com".into());
                    Change::SaveCustomer(customer)
                }
                Change::SaveSubscription(known) => {
                    let mut known = known.clone();
                    known.contenders = vec![source.draw(&sample::state())];
                    Change::SaveSubscription(known)
                }
                other => other.clone(),
            }).collect();
            let mut both = changes.clone();
            both.extend(other);
            save(db, &[(id.clone(), both.clone())]).await.unwrap();
            assert_eq!(facts::load(db, id).await.unwrap(), sample::facts(id, &both));
        }
    }

    an_unknown_account_has_no_facts: |db| async {
        let nobody = account("nobody");
        assert_eq!(facts::load(db, &nobody).await.unwrap(), Facts::unknown(nobody.clone()));
        assert_eq!(facts::load_many(db, &[]).await.unwrap(), BTreeMap::new());
        write(db, async |tx| facts::save(tx, &[]).await).await.unwrap();
    }

    only_touched_objects_are_loaded: |db| async {
        let all = drawn(40);
        save(db, &all).await.unwrap();
        let mut touched = Touched::default();
        let mut expected = BTreeMap::new();
        for (id, changes) in &all {
            let mut facts = sample::facts(id, changes);
            facts.waivers.clear();
            facts.grants.clear();
            facts.boosts.clear();
            facts.overrides.clear();
            for subscription in facts.subscriptions.values_mut() {
                subscription.history.clear();
            }
            let mut asked = TouchedObjects {
                customers: facts.customers.keys().cloned().collect(),
                subscriptions: facts.subscriptions.keys().cloned().collect(),
                invoices: facts.invoices.keys().cloned().collect(),
                purchases: facts.purchases.keys().cloned().collect(),
                adjustments: facts.adjustments.keys().cloned().collect(),
                payment_intents: Vec::new(),
            };
            if let Some(first) = asked.customers.pop() {
                facts.customers.remove(&first);
            }
            if let Some(first) = asked.subscriptions.pop() {
                facts.subscriptions.remove(&first);
            }
            asked.customers.push(CustomerId::parse("cus_unheard").unwrap());
            asked.invoices.extend(asked.invoices.clone());
            touched.accounts.insert(id.clone(), asked);
            expected.insert(id.clone(), facts);
        }
        let heads: HashMap<AccountId, AccountHead> =
            all.iter().map(|(id, _)| (id.clone(), head(id.as_str()))).collect();
        let loaded =
            write(db, async |tx| facts::load_touched(tx, &touched, &heads).await).await.unwrap();
        assert_eq!(loaded, expected);
    }

    a_payment_intent_brings_what_refers_to_it: |db| async {
        let id = account("acme");
        let mut source = Source::new();
        let changes = source.draw(&sample::changes().prop_filter("purchases and adjustments", |all| {
            all.iter().any(|change| matches!(change, Change::SavePurchase(_)))
                && all.iter().any(|change| matches!(change, Change::SaveAdjustment(_)))
        }));
        let intent = object("pi_1");
        let changes: Vec<Change> = changes.into_iter().map(|change| match change {
            Change::SavePurchase(mut one) => {
                one.payment_intent = Some(intent.clone());
                Change::SavePurchase(one)
            }
            Change::SaveAdjustment(mut one) => {
                one.payment_intent = Some(intent.clone());
                Change::SaveAdjustment(one)
            }
            other => other,
        }).collect();
        save(db, &[(id.clone(), changes.clone()), (account("other"), changes.clone())]).await.unwrap();
        let mut touched = Touched::default();
        let asked = TouchedObjects { payment_intents: vec![intent], ..TouchedObjects::default() };
        touched.accounts.insert(id.clone(), asked);
        let loaded = write(db, async |tx| facts::load_touched(tx, &touched, &HashMap::new()).await)
            .await
            .unwrap();
        let all = sample::facts(&id, &changes);
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[&id].purchases, all.purchases);
        assert_eq!(loaded[&id].adjustments, all.adjustments);
        assert!(!loaded[&id].known && loaded[&id].invoices.is_empty());
    }

    the_newest_states_are_kept_in_reach: |db| async {
        let id = account("acme");
        let subscription = SubscriptionId::parse("sub_1").unwrap();
        let template = Source::new().draw(&sample::state());
        let count = i64::from(facts::HISTORY_STATES_MAX) + 20;
        let changes: Vec<Change> = (0..count).map(|n| {
            let mut state = template.clone();
            state.version.at = at(n);
            Change::AppendSubscriptionState(subscription.clone(), state)
        }).collect();
        save(db, &[(id.clone(), changes)]).await.unwrap();
        let history = facts::load(db, &id).await.unwrap().subscriptions[&subscription].history.clone();
        assert_eq!(history.len(), facts::HISTORY_STATES_MAX as usize);
        assert_eq!(history[0].version.at, at(20));
        assert_eq!(history.last().unwrap().version.at, at(count - 1));
    }

    the_first_link_of_an_object_stays: |db| async {
        let link = |object_id: &str, owner: &str| Change::Link(Link {
            object: object(object_id),
            account: account(owner),
            member: None,
        });
        let first = vec![link("cus_1", "acme"), link("cus_1", "late"), link("sub_1", "acme")];
        save(db, &[(account("acme"), first)]).await.unwrap();
        save(db, &[(account("late"), vec![link("sub_1", "late"), link("cus_2", "late")])]).await.unwrap();
        let asked = [object("cus_1"), object("sub_1"), object("cus_2"), object("cus_3")];
        let found = links::find_now(db, &asked).await.unwrap();
        let owner = |id: &str| found.get(&object(id)).map(|link| link.account.as_str());
        assert_eq!(owner("cus_1"), Some("acme"));
        assert_eq!(owner("sub_1"), Some("acme"));
        assert_eq!(owner("cus_2"), Some("late"));
        assert_eq!(owner("cus_3"), None);
        let in_tx = write(db, async |tx| links::find(tx, &asked).await).await.unwrap();
        assert_eq!(in_tx, found);
    }

    one_waiver_is_active_and_its_end_makes_room: |db| async {
        let id = account("acme");
        let put = async |waiver: Waiver| {
            save(db, &[(id.clone(), vec![Change::SaveWaiver(waiver)])]).await
        };
        put(waiver("wv_1")).await.unwrap();
        let second = put(waiver("wv_2")).await.unwrap_err();
        assert!(matches!(second, StoreError::Conflict { .. }), "{second}");
        // The first one ends at 100 s.
        put(Waiver { granted_at: at(100), ..waiver("wv_3") }).await.unwrap();
        let mut third = Waiver { granted_at: at(100), ..waiver("wv_3") };
        third.revoked =
            Some(tollgate_domain::facts::Revocation { at: at(101), by: "ada".into(), reason: None });
        put(third).await.unwrap();
        put(Waiver { granted_at: at(102), ..waiver("wv_4") }).await.unwrap();
        // Saving the first again does not make it active again.
        put(waiver("wv_1")).await.unwrap();
        let waivers = facts::load(db, &id).await.unwrap().waivers;
        let ids: Vec<&str> = waivers.iter().map(|waiver| waiver.id.as_str()).collect();
        assert_eq!(ids, ["wv_1", "wv_3", "wv_4"]);
    }

    something_is_noted_once: |db| async {
        let id = account("acme");
        for expected in [true, false, false] {
            let new = write(db, async |tx| facts::note(tx, &id, "grace_ended:in_1").await).await;
            assert_eq!(new.unwrap(), expected);
        }
        assert!(facts::load(db, &id).await.unwrap().noted.contains("grace_ended:in_1"));
    }

    a_spoilt_row_is_named: |db| async {
        let all = drawn(1);
        let purchase = Source::new().draw(&sample::changes().prop_filter_map("a purchase", |all| {
            all.into_iter().find(|change| matches!(change, Change::SavePurchase(_)))
        }));
        save(db, &[(all[0].0.clone(), vec![purchase])]).await.unwrap();
        db.sql("UPDATE purchases SET status = 'lost'").await;
        let corrupt = facts::load(db, &all[0].0).await.unwrap_err();
        assert!(matches!(corrupt, StoreError::Corrupt { table: "purchases", .. }), "{corrupt}");
        assert!(corrupt.to_string().contains("lost") && corrupt.to_string().contains("acct-000"));
    }

    nothing_of_a_failed_write_is_kept: |db| async {
        let id = account("acme");
        let failed: Result<(), StoreError> = write(db, async |tx| {
            accounts::save(tx, &[head("acme")], at(0)).await?;
            Err(StoreError::Conflict { constraint: "the test's".to_owned() })
        }).await;
        assert!(failed.is_err());
        assert_eq!(accounts::revision(db, &id).await.unwrap(), None);
        let mut tx = db.begin().await.unwrap();
        accounts::save(&mut tx, &[head("acme")], at(0)).await.unwrap();
        tx.rollback().await.unwrap();
        drop(db.begin().await.unwrap());
        assert_eq!(accounts::revision(db, &id).await.unwrap(), None);
    }
}

#[test]
fn sessions_of_samples_differ() {
    // Guards the generator: a source that always draws the same proves nothing.
    let all = drawn(30);
    let sessions: std::collections::BTreeSet<SessionId> = all
        .iter()
        .flat_map(|(id, changes)| sample::facts(id, changes).purchases.into_keys())
        .collect();
    assert!(sessions.len() > 10, "{}", sessions.len());
}
