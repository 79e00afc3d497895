//! What goes wrong in other billing code, and does not here. Each test is one of the known ways to
//! mistake Stripe's events for the state of the world.

mod purchases;

use tollgate_domain::EventKind as E;
use tollgate_domain::decide::grace_ended;
use tollgate_domain::entitlement::resolve::grace_windows;
use tollgate_domain::ids::{AccountId, CustomerId, MemberId};
use tollgate_domain::payment::{AdjustmentKind, InvoiceStatus, PurchaseKind, SessionStatus};
use tollgate_domain::sale::{self, Undone};
use tollgate_domain::subscription::SubscriptionStatus;
use tollgate_domain::{
    BillingEvent, BillingEventKind as B, Decision, EventKind, JournalEntry, Timestamp,
};

use crate::story::{Cs, Inv, START, Story, Sub};
use crate::world::{World, catalog};

fn told(story: &Story) -> World {
    World::after(&story.events, &catalog())
}

fn backwards(story: &Story) -> World {
    let events: Vec<_> = story.events.iter().rev().cloned().collect();
    World::after(&events, &catalog())
}

/// What the last event of a story does.
fn last_decision(story: &Story) -> Decision {
    let (last, before) = story.events.split_last().unwrap();
    let mut world = World::after(before, &catalog());
    world.deliver(last, &catalog()).expect("the last event has an owner")
}

fn detail<'d>(decision: &'d Decision, name: &str) -> Option<&'d str> {
    let mut details = decision.journal.iter().rev().flat_map(|entry| &entry.details);
    details.find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
}

/// The billing event about a subscription.
fn subscription_event(decision: &Decision) -> &BillingEvent {
    decision.billing().find(|event| event.subscription.is_some()).unwrap()
}

fn active() -> Sub {
    Sub::of("sub_1", "active", "price_premium")
}

fn badge() -> Cs {
    Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499)
}

fn with_status(status: &'static str) -> Sub {
    Sub { status, ..active() }
}

#[test]
fn created_after_updated_does_not_undo_the_update() {
    let story = Story::of("21")
        .sub(E::SubscriptionCreated, &with_status("incomplete"))
        .sub(E::SubscriptionUpdated, &active());
    for world in [told(&story), backwards(&story)] {
        assert_eq!(world.state("sub_1").status, SubscriptionStatus::Active);
        assert_eq!(world.acme().subscriptions["sub_1"].history.len(), 2);
    }
    let late = story.reversed();
    let decision = last_decision(&late);
    assert_eq!(detail(&decision, "applied"), Some("no"));
    assert_eq!(
        decision.billing().next().unwrap().kind,
        B::SubscriptionCreated,
        "a stale event is still told of"
    );
    assert!(decision.billing().next().unwrap().changes.is_empty(), "but it changes nothing");
}

#[test]
fn events_of_one_second_are_put_in_order_by_what_they_say_was_before() {
    let story = Story::of("22")
        .sub(E::SubscriptionUpdated, &active())
        .sub(E::SubscriptionUpdated, &with_status("past_due"))
        .sub(E::SubscriptionUpdated, &active())
        .sub(E::SubscriptionUpdated, &with_status("unpaid"))
        .coarse(60);
    for world in [told(&story), backwards(&story)] {
        assert_eq!(world.state("sub_1").status, SubscriptionStatus::Unpaid);
    }
}

#[test]
fn the_state_is_the_objects_never_the_events_name() {
    let resumed = Story::of("23").sub(E::SubscriptionResumed, &with_status("paused"));
    assert_eq!(told(&resumed).state("sub_1").status, SubscriptionStatus::Paused);

    // An object may be newer than the event that carries it.
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_1", "sub_1", "subscription_cycle") };
    let finalized = told(&Story::of("23").invoice(E::InvoiceFinalized, &paid));
    assert_eq!(finalized.told(B::PaymentSucceeded), 1);
}

#[test]
fn an_ended_subscription_never_lives_again() {
    for end in ["canceled", "incomplete_expired"] {
        let story = Story::of("24")
            .sub(E::SubscriptionCreated, &active())
            .sub(E::SubscriptionDeleted, &with_status(end))
            .later(60)
            .sub(E::SubscriptionUpdated, &active());
        for world in [told(&story), backwards(&story)] {
            assert_eq!(world.state("sub_1").status.as_str(), end);
        }
    }
}

#[test]
fn a_paid_invoice_changes_no_subscription() {
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_1", "sub_1", "subscription_cycle") };
    let after_the_end = Story::of("25")
        .sub(E::SubscriptionDeleted, &with_status("canceled"))
        .invoice(E::InvoicePaid, &paid);
    assert_eq!(told(&after_the_end).state("sub_1").status, SubscriptionStatus::Canceled);

    let nothing = Inv { due: 0, reason: "subscription_create", ..paid };
    let trial = Story::of("25")
        .sub(E::SubscriptionCreated, &with_status("trialing"))
        .invoice(E::InvoicePaid, &nothing);
    assert_eq!(told(&trial).state("sub_1").status, SubscriptionStatus::Trialing);
    assert_eq!(told(&trial).told(B::PaymentSucceeded), 0, "nothing was paid");

    let manual = Inv { subscription: None, reason: "manual", ..paid };
    let unrelated = Story::of("25")
        .sub(E::SubscriptionCreated, &with_status("incomplete"))
        .invoice(E::InvoicePaid, &manual);
    assert_eq!(told(&unrelated).state("sub_1").status, SubscriptionStatus::Incomplete);
    assert_eq!(told(&unrelated).told(B::PaymentSucceeded), 1);
}

#[test]
fn a_failed_payment_changes_no_subscription_and_only_a_renewal_starts_a_grace() {
    let failed = Inv { attempts: 1, ..Inv::of("in_1", "sub_1", "subscription_cycle") };
    for (invoice, graces) in [
        (failed.clone(), 1),
        (Inv { reason: "subscription_update", ..failed.clone() }, 0),
        (Inv { reason: "subscription_create", ..failed.clone() }, 0),
        (Inv { subscription: None, reason: "manual", ..failed }, 0),
    ] {
        let story = Story::of("26")
            .sub(E::SubscriptionCreated, &active())
            .invoice(E::InvoicePaymentFailed, &invoice);
        let world = told(&story);
        assert_eq!(world.state("sub_1").status, SubscriptionStatus::Active);
        assert_eq!(world.told(B::GracePeriodStarted), graces, "{}", invoice.reason);
        assert_eq!(world.told(B::PaymentFailed), 1);
    }
}

fn dunning() -> Story {
    let failed = |attempts| Inv { attempts, ..Inv::of("in_2", "sub_1", "subscription_cycle") };
    let past_due = Sub { invoice: Some("in_2"), ..with_status("past_due") };
    Story::of("27")
        .sub(E::SubscriptionCreated, &active())
        .later(99)
        .invoice(E::InvoicePaymentFailed, &failed(1))
        .sub(E::SubscriptionUpdated, &past_due)
        .later(86_400)
        .invoice(E::InvoicePaymentFailed, &failed(2))
        .later(86_400)
        .invoice(E::InvoicePaymentFailed, &failed(3))
}

#[test]
fn a_grace_starts_at_the_first_failure_and_no_retry_or_repetition_moves_it() {
    let story = dunning();
    let twins = story.twins();
    let repeated: Vec<_> = story.events.iter().chain(&twins).rev().cloned().collect();
    for world in [told(&story), backwards(&story), World::after(&repeated, &catalog())] {
        let windows = grace_windows(world.acme(), &catalog());
        let first_failure = Timestamp::from_unix_seconds(START + 100);
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0].started_at, first_failure);
        assert_eq!(windows[0].ends_at, first_failure.plus_hours(24));
        assert_eq!((world.told(B::GracePeriodStarted), world.told(B::PaymentFailed)), (1, 3));
    }
}

#[test]
fn the_end_of_a_grace_is_told_once() {
    let mut facts = told(&dunning()).acme().clone();
    let windows = grace_windows(&facts, &catalog());
    let window = windows.first().unwrap();
    assert_eq!(grace_ended(&facts, window, window.ends_at.plus_ms(-1)), None, "it still runs");
    let decision = grace_ended(&facts, window, window.ends_at).unwrap();
    assert_eq!(decision.billing().next().unwrap().kind, B::GracePeriodEnded);
    assert_eq!(decision.journal[0].occurred_at, window.ends_at);
    for change in &decision.changes {
        facts.apply(change);
    }
    assert_eq!(grace_ended(&facts, window, window.ends_at.plus_days(1)), None);

    // A failure that becomes known only now names the same cycle by its invoice.
    let mut unnamed = window.clone();
    unnamed.invoice = None;
    assert_eq!(grace_ended(&facts, &unnamed, window.ends_at.plus_days(1)), None);
}

#[test]
fn paid_and_payment_succeeded_are_one_payment() {
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_1", "sub_1", "subscription_cycle") };
    let story = Story::of("28")
        .invoice(E::InvoicePaid, &paid)
        .invoice(E::InvoicePaymentSucceeded, &paid)
        .invoice(E::InvoiceUpdated, &paid);
    assert_eq!(told(&story).told(B::PaymentSucceeded), 1);
    assert_eq!(told(&story).journal["invoice.paid"], 1, "each event has its journal entry");
    assert_eq!(told(&story).journal["invoice.payment_succeeded"], 1);
}

#[test]
fn an_event_of_an_unknown_customer_waits_and_is_never_dropped() {
    let story = Story::of("32")
        .sub(E::SubscriptionCreated, &active())
        .customer(E::CustomerCreated, None)
        .claimed_once(1);
    let mut world = World::default();
    world.deliver(&story.events[0], &catalog());
    assert_eq!((world.waiting.len(), world.facts.len()), (1, 0));
    world.deliver(&story.events[1], &catalog());
    assert_eq!(world.waiting.len(), 0);
    assert_eq!(world.state("sub_1").status, SubscriptionStatus::Active);
}

#[test]
fn a_pending_update_is_not_in_effect() {
    // The items stay as they are until the update is applied; the event's name applies nothing.
    let story = Story::of("33")
        .sub(E::SubscriptionCreated, &Sub::of("sub_1", "active", "price_basic"))
        .sub(E::SubscriptionPendingUpdateExpired, &Sub::of("sub_1", "active", "price_basic"));
    assert_eq!(told(&story).state("sub_1").items[0].price.as_str(), "price_basic");
    assert_eq!(told(&story).told(B::SubscriptionUpdated), 1);
}

#[test]
fn an_end_that_is_asked_for_is_shown_and_is_no_end_yet() {
    let ending = Sub { cancel_at_period_end: true, ..active() };
    let story =
        Story::of("34").sub(E::SubscriptionCreated, &active()).sub(E::SubscriptionUpdated, &ending);
    let world = told(&story);
    assert_eq!(world.state("sub_1").status, SubscriptionStatus::Active);
    let decision = last_decision(&story);
    let changes = &decision.billing().next().unwrap().changes;
    let changed: Vec<_> =
        changes.iter().map(|change| (change.field, change.to.as_deref())).collect();
    assert_eq!(changed, [("autoRenew", Some("false")), ("cancelAt", Some("2026-12-01T12:00:00Z"))]);
}

#[test]
fn paused_collection_is_no_pause_and_a_pause_is_no_active_subscription() {
    let story =
        Story::of("35").sub(E::SubscriptionUpdated, &Sub { collection_paused: true, ..active() });
    assert_eq!(told(&story).state("sub_1").status, SubscriptionStatus::Active);
    assert!(told(&story).state("sub_1").collection_pause.is_some());

    let failed = Story::of("36")
        .sub(E::SubscriptionCreated, &active())
        .sub(E::SubscriptionPaused, &with_status("paused"));
    assert_eq!(told(&failed).state("sub_1").status, SubscriptionStatus::Paused);
    assert_eq!(told(&failed).told(B::SubscriptionPaused), 1);
}

#[test]
fn the_plan_of_many_items_is_the_highest_whatever_their_order() {
    for items in [
        vec![("price_boost", 3), ("price_premium", 2), ("price_basic", 1)],
        vec![("price_basic", 1), ("price_premium", 2)],
    ] {
        let decision =
            last_decision(&Story::of("37").sub(E::SubscriptionCreated, &Sub { items, ..active() }));
        let changes = &subscription_event(&decision).changes;
        let to = |field| {
            changes
                .iter()
                .find(|change| change.field == field)
                .and_then(|change| change.to.as_deref())
        };
        assert_eq!((to("planCode"), to("seatCount")), (Some("premium"), Some("2")));
    }
}

#[test]
fn two_subscriptions_of_one_account_are_two() {
    let story = Story::of("38")
        .sub(E::SubscriptionCreated, &active())
        .sub(E::SubscriptionCreated, &Sub::of("sub_2", "active", "price_basic"))
        .sub(E::SubscriptionDeleted, &with_status("canceled"));
    let world = told(&story);
    assert_eq!(world.state("sub_1").status, SubscriptionStatus::Canceled);
    assert_eq!(world.state("sub_2").status, SubscriptionStatus::Active);
}

#[test]
fn a_deleted_customer_stays_deleted_and_its_address_is_forgotten() {
    let story = Story::of("39")
        .customer(E::CustomerCreated, Some("a@example.org"))
        .customer(E::CustomerDeleted, Some("a@example.org"))
        .later(60)
        .customer(E::CustomerUpdated, Some("a@example.org"));
    for world in [told(&story), backwards(&story)] {
        let customer = &world.acme().customers[&CustomerId::parse("cus_acme").unwrap()];
        assert!(customer.deleted_at.is_some());
        assert_eq!(customer.email, None);
    }
}

#[test]
fn an_unknown_status_is_kept_as_it_is() {
    let story = Story::of("40").sub(E::SubscriptionCreated, &with_status("hibernating"));
    let world = told(&story);
    assert_eq!(world.state("sub_1").status, SubscriptionStatus::Unknown("hibernating".into()));
}

#[test]
fn an_unknown_price_is_reported_by_each_event_that_shows_it_and_guesses_nothing() {
    let foreign = Sub::of("sub_1", "active", "price_foreign");
    let story = Story::of("57")
        .sub(E::SubscriptionCreated, &foreign)
        .sub(E::SubscriptionUpdated, &foreign)
        .sub(E::SubscriptionUpdated, &active());
    let world = told(&story);
    assert_eq!(world.journal["catalog.price_unknown"], 2);
    let decision = last_decision(&Story::of("57").sub(E::SubscriptionCreated, &foreign));
    let alert =
        decision.journal.iter().find(|entry| entry.kind == "catalog.price_unknown").unwrap();
    assert_eq!(alert.details[1], ("prices", "price_foreign".to_owned()));
    let changes = &subscription_event(&decision).changes;
    assert!(
        !changes.is_empty() && changes.iter().all(|change| change.field != "planCode"),
        "{changes:?}"
    );

    let cheap = Story::of("57").session(E::CheckoutCompleted, &Cs { total: 1, ..badge() });
    assert_eq!(told(&cheap).told(B::BadgePurchased), 0, "a claim without its price sells nothing");
    assert_eq!(told(&cheap).journal["catalog.price_unknown"], 1);
}

#[test]
fn the_journal_holds_no_personal_data_and_sorts_its_details() {
    let secret = "someone@example.org";
    for story in [Story::of("67").customer(E::CustomerCreated, Some(secret)), dunning()] {
        let mut world = World::default();
        for event in &story.events {
            let decision = world.deliver(event, &catalog()).unwrap();
            for entry in &decision.journal {
                assert!(entry.details.is_sorted_by_key(|(name, _)| *name), "{entry:?}");
                assert!(!format!("{entry:?}").contains(secret));
            }
        }
    }
}

#[test]
fn every_event_type_leaves_exactly_one_entry_of_its_own() {
    for story in crate::convergence::scenarios::all() {
        let mut world = World::default();
        for event in &story.events {
            let decision = world.deliver(event, &catalog()).unwrap();
            let own = event.kind.journal_kind();
            // What an event makes facts reach is told by entries of the billing event's name.
            let reached = |entry: &&JournalEntry| {
                entry
                    .billing
                    .as_ref()
                    .is_some_and(|told| told.subscription.is_none() || told.invoice.is_some())
            };
            let own = decision.journal.iter().filter(|entry| entry.kind == own && !reached(entry));
            let primary = own.count();
            assert_eq!(primary, 1, "{}: {:?}", story.name, event.kind);
        }
    }
}
