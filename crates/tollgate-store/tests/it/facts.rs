//! Facts of every kind, there and back.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::strategy::Strategy as _;
use tollgate_domain::change::Change;
use tollgate_domain::entitlement::{self, forecast::forecast};
use tollgate_domain::facts::Window;
use tollgate_domain::ids::{AccountId, CustomerId, InvoiceId, ObjectId, SessionId};
use tollgate_domain::owner::Basis;
use tollgate_domain::{Catalog, Facts, Link, Timestamp};
use tollgate_store::accounts::{self, AccountHead};
use tollgate_store::facts::{Touched, TouchedObjects};
use tollgate_store::{Db, StoreError, connected_objects, facts, links};

use crate::database::write;
use crate::life;
use crate::sample::{self, Source, account, at, head, link, member_of, object};

/// Writes changes of accounts in one transaction, heads included.
pub(crate) async fn save(db: &Db, all: &[(AccountId, Vec<Change>)]) -> Result<(), StoreError> {
    let heads: Vec<AccountHead> = all.iter().map(|(id, _)| head(id.as_str())).collect();
    let changes: Vec<(&AccountId, &[Change])> =
        all.iter().map(|(id, changes)| (id, changes.as_slice())).collect();
    write(db, async |tx| {
        accounts::save(tx, &heads, at(0)).await?;
        facts::save(tx, &changes).await
    })
    .await
}

/// Everything somebody can be told of an account at an instant.
fn answer(facts: &Facts, catalog: &Catalog, then: Timestamp, now: Timestamp) -> String {
    let found = match then.cmp(&now) {
        Ordering::Less => tollgate_domain::resolve(&facts.as_of(then), catalog, then),
        Ordering::Equal => tollgate_domain::resolve(facts, catalog, then),
        Ordering::Greater => forecast(facts, catalog, then),
    };
    let denied = entitlement::answer::answer(&found, catalog, "white_label", 0, None).unwrap();
    let plan = (found.plan, found.source, &found.source_id, found.units);
    let grace = (found.in_grace, found.grace_until, found.valid_until);
    format!("{plan:?} {grace:?} {:?} {:?}", found.allowances, denied.reason)
}

/// Lives told to a window and to everything.
const LIVES: usize = 80;

fn drawn(count: usize) -> Vec<(AccountId, Vec<Change>)> {
    let mut source = Source::new();
    let one = |n| (account(&format!("acct-{n:03}")), source.draw(&sample::changes()));
    (0..count).map(one).collect()
}

on_both! {
    facts_of_every_kind_come_back_as_they_were: |db| async {
        let all = drawn(150);
        save(db, &all).await.unwrap();
        let expected: BTreeMap<AccountId, Facts> =
            all.iter().map(|(id, changes)| (id.clone(), sample::facts(id, changes))).collect();
        let ids: Vec<AccountId> = expected.keys().cloned().collect();
        let loaded = facts::load_many(db, &ids, Window::ALL).await.unwrap();
        for (id, facts) in &expected {
            assert_eq!(loaded.get(id), Some(facts));
        }
        assert_eq!(&facts::load(db, &ids[3], Window::ALL).await.unwrap(), &expected[&ids[3]]);
        write(db, async |tx| {
            assert_eq!(&facts::load_in(tx, &ids[4], Window::ALL).await?, &expected[&ids[4]]);
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
            assert_eq!(facts::load(db, id, Window::ALL).await.unwrap(), sample::facts(id, &both));
        }
    }

    an_unknown_account_has_no_facts: |db| async {
        let nobody = account("nobody");
        assert_eq!(facts::load(db, &nobody, Window::ALL).await.unwrap(), Facts::unknown(nobody.clone()));
        assert_eq!(facts::load_many(db, &[], Window::ALL).await.unwrap(), BTreeMap::new());
        write(db, async |tx| facts::save(tx, &[]).await).await.unwrap();
    }

    what_is_touched_is_loaded_whenever_it_mattered: |db| async {
        let all = drawn(40);
        save(db, &all).await.unwrap();
        // A window after everything: only what is asked for by its id, or always matters, is left.
        let from = at(i64::from(i32::MAX));
        let late = Window { ended_from: from, from, to: Timestamp::MAX };
        let mut touched = Touched::default();
        let mut expected = BTreeMap::new();
        for (id, changes) in &all {
            let whole = sample::facts(id, changes);
            let asked = TouchedObjects {
                invoices: whole.invoices.keys().cloned().collect(),
                purchases: whole.purchases.keys().cloned().collect(),
                adjustments: whole.adjustments.keys().cloned().collect(),
                customers: vec![CustomerId::parse("cus_unheard").unwrap()],
                ..TouchedObjects::default()
            };
            touched.accounts.insert(id.clone(), asked);
            expected.insert(id.clone(), whole);
        }
        let heads: HashMap<AccountId, AccountHead> =
            all.iter().map(|(id, _)| (id.clone(), head(id.as_str()))).collect();
        let loaded =
            write(db, async |tx| facts::load_touched(tx, &touched, &heads, late).await).await.unwrap();
        for (id, whole) in &expected {
            let found = &loaded[id];
            assert_eq!(found.invoices, whole.invoices);
            assert_eq!(found.purchases, whole.purchases);
            assert_eq!(found.adjustments, whole.adjustments);
            assert_eq!(found.customers, whole.customers);
            assert_eq!((found.known, found.revision), (true, 1));
        }
    }

    a_window_answers_as_everything_does: |db| async {
        let catalog = tollgate_domain::catalog::builtin("sietch").unwrap();
        let mut source = Source::new();
        for number in 0..LIVES {
            let id = account(&format!("acct-{number}"));
            let changes = source.draw(&life::life(90));
            save(db, &[(id.clone(), changes)]).await.unwrap();
            let whole = facts::load(db, &id, Window::ALL).await.unwrap();
            for day in (0..260).step_by(3) {
                // Asked at the end of that life about every day of it, then on every day after it, and
                // about a month ahead.
                let now = at(day.max(90) * 86_400);
                let then = if day < 90 { at(day * 86_400 + 7) } else { now.plus_days(30 * (day % 2)) };
                let window = Window::at(then, now, &catalog);
                let part = facts::load(db, &id, window).await.unwrap();
                let answer = |facts: &Facts| answer(facts, &catalog, then, now);
                assert_eq!(answer(&part), answer(&whole), "{id} on day {day}");
            }
        }
    }

    what_is_over_is_not_loaded: |db| async {
        let id = account("acme");
        let catalog = tollgate_domain::catalog::builtin("sietch").unwrap();
        let changes: Vec<Change> = life::over(200);
        save(db, &[(id.clone(), changes)]).await.unwrap();
        let now = at(400 * 86_400);
        let facts = facts::load(db, &id, Window::at(now, now, &catalog)).await.unwrap();
        let count = (
            facts.invoices.len(),
            facts.invoice_payments.len(),
            facts.adjustments.len(),
            facts.purchases.len(),
            facts.schedules.len(),
            facts.subscriptions.values().map(|one| one.history.len()).sum::<usize>(),
        );
        // Of each subscription (one is known by invoices alone) the two invoices that ended last, what
        // gave money of them back, and the last observation.
        assert_eq!(count, (4, 2, 2, 0, 0, 1));
    }

    invoices_come_in_pages: |db| async {
        let id = account("acme");
        let template = Source::new().draw(&sample::invoice());
        let made = |number: i64| {
            let mut one = template.clone();
            one.id = InvoiceId::parse(&format!("in_{number}")).unwrap();
            one.state.created = Some(at(number));
            (one.state.at, one.paid_at) = (at(1_000), None);
            (one.state.period_end, one.failed_attempts) = (None, Vec::new());
            one
        };
        let all: Vec<Change> = (0..7).map(|number| Change::SaveInvoice(made(number))).collect();
        save(db, &[(id.clone(), all)]).await.unwrap();
        let page = async |after: Option<&str>| {
            let after = after.map(|id| InvoiceId::parse(id).unwrap());
            let page = facts::list_invoices(db, &id, after.as_ref(), 3).await.unwrap();
            page.map(|page| page.iter().map(|one| one.id.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(page(None).await.unwrap(), ["in_6", "in_5", "in_4"]);
        assert_eq!(page(Some("in_4")).await.unwrap(), ["in_3", "in_2", "in_1"]);
        assert_eq!(page(Some("in_1")).await.unwrap(), ["in_0"]);
        assert_eq!(page(Some("in_9")).await, None);
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
        let loaded = write(db, async |tx| facts::load_touched(tx, &touched, &HashMap::new(), Window::ALL).await)
            .await
            .unwrap();
        let all = sample::facts(&id, &changes);
        assert_eq!(loaded.len(), 1);
        assert_eq!(loaded[&id].purchases, all.purchases);
        assert_eq!(loaded[&id].adjustments, all.adjustments);
        assert!(!loaded[&id].known && loaded[&id].invoices.is_empty());
    }

    links_are_written_once_and_move_as_groups: |db| async {
        let (root, other) = (link("sub_1", "acme"), link("cus_1", "acme"));
        let follower = Link {
            basis: Basis::Followed(object("cus_1")),
            ..link("sub_2", "acme")
        };
        let members = [member_of(&root, "in_1"), member_of(&root, "pi_1"), member_of(&follower, "in_2")];
        let all: Vec<&Link> = [&root, &other, &follower].into_iter().chain(&members).collect();
        write(db, async |tx| links::insert(tx, &all).await).await.unwrap();
        let again = write(db, async |tx| links::insert(tx, &[&link("in_1", "late")]).await).await;
        assert!(matches!(again, Err(StoreError::Conflict { .. })), "{again:?}");
        let asked = ["in_1", "in_2", "cus_1", "cus_9"].map(object);
        let found = links::find_now(db, &asked).await.unwrap();
        assert_eq!(found.len(), 3);
        // Those of a connected account are no sample of our own.
        let sub = object("sub_2");
        for account in ["acct_1", "acct_2"] {
            let told = [(&sub, account)].into();
            write(db, async |tx| connected_objects::note(tx, &told).await).await.unwrap();
        }
        let connected = connected_objects::find(db, &[object("cus_1"), sub.clone()]).await.unwrap();
        assert_eq!(connected, [(sub, "acct_1".to_owned())].into());
        assert_eq!(links::sample(db, "sub_", 5).await.unwrap(), [object("sub_1")]);
        assert_eq!(found[&object("in_1")], members[0], "with the reason of what stands for its group");
        assert_eq!(found[&object("in_2")], members[2]);
        let of = async |roots: &[&str]| {
            let roots: Vec<_> = roots.iter().map(|id| object(id)).collect();
            let groups = write(db, async |tx| links::groups(tx, &roots).await).await.unwrap();
            let mut ids: Vec<String> = groups.keys().map(ToString::to_string).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(of(&["sub_1"]).await, ["in_1", "pi_1", "sub_1"]);
        assert_eq!(of(&["cus_1"]).await, ["cus_1", "in_2", "sub_2"], "those who follow it too");
        assert!(of(&["in_1"]).await.is_empty() && of(&[]).await.is_empty());
        let moved = Link { account: account("late"), basis: Basis::Relinked { at: at(9) }, ..root };
        let along = member_of(&moved, "in_1");
        write(db, async |tx| links::update(tx, &[&moved, &along]).await).await.unwrap();
        let found = links::find_now(db, &["in_1", "pi_1"].map(object)).await.unwrap();
        assert_eq!(found[&object("in_1")], along);
        assert_eq!(found[&object("pi_1")].account, account("acme"), "only what was named");
    }

    facts_change_hands_with_all_that_is_known_of_them: |db| async {
        let (from, to) = (account("acme"), account("borealis"));
        let mut source = Source::new();
        let changes: Vec<Change> = (0..20).flat_map(|_| source.draw(&sample::changes())).collect();
        save(db, &[(from.clone(), changes.clone())]).await.unwrap();
        let (mut acme, mut borealis) = (sample::facts(&from, &changes), Facts::unknown(to.clone()));
        let mut objects: BTreeSet<ObjectId> = BTreeSet::new();
        let ids = acme.subscriptions.keys().map(ToString::to_string).step_by(2)
            .chain(acme.invoices.keys().map(ToString::to_string).step_by(2))
            .chain(acme.purchases.keys().map(ToString::to_string).step_by(2))
            .chain(acme.adjustments.keys().map(ToString::to_string).step_by(2));
        objects.extend(ids.map(|id| object(&id)));
        assert!(objects.len() > 4, "{objects:?}");
        acme.hand_over(&mut borealis, &objects);
        let give = vec![Change::HandOver { to: to.clone(), objects: objects.iter().cloned().collect() }];
        save(db, &[(from.clone(), give.clone())]).await.unwrap();
        let loaded = async |id: &AccountId| {
            let mut facts = facts::load(db, id, Window::ALL).await.unwrap();
            (facts.known, facts.revision) = (true, 1);
            facts
        };
        for facts in [&mut acme, &mut borealis] {
            (facts.known, facts.revision) = (true, 1);
        }
        assert_eq!(loaded(&from).await, acme);
        assert_eq!(loaded(&to).await, borealis);
        save(db, &[(from.clone(), give)]).await.unwrap();
        assert_eq!(loaded(&to).await, borealis, "once");
    }

    a_spoilt_row_is_named: |db| async {
        let all = drawn(1);
        let purchase = Source::new().draw(&sample::changes().prop_filter_map("a purchase", |all| {
            all.into_iter().find(|change| matches!(change, Change::SavePurchase(_)))
        }));
        save(db, &[(all[0].0.clone(), vec![purchase])]).await.unwrap();
        db.sql("UPDATE facts SET body = replace(body, '\"status\":\"', '\"status\":\"lost') \
                WHERE kind = 'purchase'").await;
        let corrupt = facts::load(db, &all[0].0, Window::ALL).await.unwrap_err();
        assert!(matches!(corrupt, StoreError::Corrupt { table: "facts", .. }), "{corrupt}");
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
