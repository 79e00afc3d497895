//! A fetched object tells what an event with it tells, under an id nobody else can have.

use super::*;
use crate::{Observed, Parsed, event, observe};

const AT: i64 = 1_795_000_000;

/// The event of a sample and its object.
fn sample(name: &str) -> (Observation, Box<RawValue>) {
    let body = match name {
        "subscription" => {
            include_str!(
                "../../testdata/events/2026-10-28.endive/customer.subscription.updated.renewal.json"
            )
        }
        "customer" => include_str!("../../testdata/events/2026-10-28.endive/customer.updated.json"),
        "session" => include_str!(
            "../../testdata/events/2026-10-28.endive/checkout.session.completed.grant.json"
        ),
        "invoice" => include_str!("../../testdata/events/2026-10-28.endive/invoice.paid.json"),
        "refund" => include_str!("../../testdata/events/2026-10-28.endive/refund.created.json"),
        "charge" => include_str!("../../testdata/events/2026-10-28.endive/charge.refunded.json"),
        "invoice_payment" => {
            include_str!("../../testdata/events/2026-10-28.endive/invoice_payment.paid.json")
        }
        _ => include_str!("../../testdata/events/2026-10-28.endive/charge.dispute.closed.json"),
    };
    let Parsed::Event(envelope) = event::parse(body.as_bytes()) else { panic!("no event: {name}") };
    let Observed::Effect(told) = observe(&envelope).unwrap() else { panic!("ignored: {name}") };
    (told, envelope.object.to_owned())
}

fn showing(kind: FetchedKind, object: &RawValue) -> Showing<'_> {
    Showing {
        kind,
        object,
        at: Timestamp::from_unix_seconds(AT),
        livemode: false,
        account: None,
        api_version: "2026-10-28.endive",
        cause: FetchCause::Doubt,
        covers: &[],
    }
}

#[test]
fn a_fetched_object_tells_what_an_event_with_it_tells() {
    for (name, kind) in [
        ("customer", FetchedKind::Customer),
        ("subscription", FetchedKind::Subscription),
        ("session", FetchedKind::Session),
        ("invoice", FetchedKind::Invoice),
        ("refund", FetchedKind::Refund),
        ("dispute", FetchedKind::Dispute),
        ("charge", FetchedKind::Charge),
        ("invoice_payment", FetchedKind::InvoicePayment),
    ] {
        let (event, object) = sample(name);
        let fetched = read(&showing(kind, &object).to_body().unwrap()).unwrap();
        let mut told = fetched.told.unwrap();
        assert_eq!((told.fetched, told.kind), (Some(FetchCause::Doubt), kind.event_kind()));
        assert_eq!(told.kind.journal_kind(), "reconciled");
        assert_eq!((told.at, &told.event), (Timestamp::from_unix_seconds(AT), &fetched.id));
        // Everything but when, by what and why it was seen.
        match (&mut told.seen, &event.seen) {
            (Seen::Subscription(told), Seen::Subscription(event)) => {
                assert_eq!(told.state.version.rank.as_i64(), 4);
                told.state.version = event.state.version.clone();
                told.state.previous.clone_from(&event.state.previous);
            }
            (Seen::Invoice(told), Seen::Invoice(event)) => {
                told.state.at = event.state.at;
                told.state.event = event.state.event.clone();
            }
            _ => {}
        }
        assert_eq!(told.seen, event.seen, "{name}");
        assert_eq!((told.claim, told.references), (event.claim, event.references), "{name}");
    }
}

#[test]
fn covered_observations_and_the_cause_come_back() {
    let (_, object) = sample("subscription");
    let covers = [EventId::parse("evt_1").unwrap(), EventId::parse("obs_2").unwrap()];
    let cause = FetchCause::Drift(tollgate_domain::Drift::EditedInStripe);
    let body = Showing { covers: &covers, cause, ..showing(FetchedKind::Subscription, &object) }
        .to_body()
        .unwrap();
    let told = read(&body).unwrap().told.unwrap();
    let Seen::Subscription(seen) = told.seen else { panic!("no subscription") };
    assert_eq!((told.fetched, seen.state.covers), (Some(cause), covers.to_vec()));
}

#[test]
fn the_same_answer_is_the_same_observation() {
    let (_, object) = sample("customer");
    let one = showing(FetchedKind::Customer, &object);
    let later = Showing { at: Timestamp::from_unix_seconds(AT + 1), ..one };
    let id = |showing: &Showing<'_>| read(&showing.to_body().unwrap()).unwrap().id;
    assert_eq!(id(&one), id(&one));
    assert_ne!(id(&one), id(&later));
    assert!(id(&one).as_str().starts_with(OWN_ID_PREFIX));
}

#[test]
fn what_we_make_ourselves_is_no_delivery_and_the_reverse() {
    let (_, object) = sample("customer");
    let body = showing(FetchedKind::Customer, &object).to_body().unwrap();
    let Parsed::NotAnEvent { why } = event::parse(&body) else { panic!("taken as an event") };
    assert_eq!(why, "not_an_event");
    let text = String::from_utf8(body).unwrap();
    for (from, to, why) in [
        ("tollgate.observation", "event", "reserved_id"),
        (r#""object":"tollgate.observation","#, "", "reserved_id"),
    ] {
        let forged = text.replacen(from, to, 1);
        let Parsed::NotAnEvent { why: found } = event::parse(forged.as_bytes()) else {
            panic!("taken as an event: {forged}")
        };
        assert_eq!(found, why);
        assert!(read(forged.as_bytes()).is_none());
    }
    let event = include_str!("../../testdata/events/2026-10-28.endive/customer.updated.json");
    assert!(read(event.as_bytes()).is_none());
    assert!(read(text.replacen("obs_", "evt_", 1).as_bytes()).is_none());
}

#[test]
fn what_stands_for_a_subscription_that_is_gone_says_that_it_is_over() {
    let id = SubscriptionId::parse("sub_1").unwrap();
    let sold = [(PriceId::parse("price_1").unwrap(), 3)];
    let object = gone_subscription(&id, &sold, Timestamp::from_unix_seconds(AT));
    let told = read(&showing(FetchedKind::Subscription, &object).to_body().unwrap())
        .unwrap()
        .told
        .unwrap();
    let Seen::Subscription(seen) = told.seen else { panic!("no subscription") };
    assert!(seen.state.status.is_terminal());
    assert_eq!((seen.id, seen.state.items[0].quantity), (id, 3));
}

#[test]
fn kinds_are_told_by_ids() {
    for (id, kind) in [
        ("cus_1", Some(FetchedKind::Customer)),
        ("cs_test_a1", Some(FetchedKind::Session)),
        ("in_1", Some(FetchedKind::Invoice)),
        ("inpay_1", Some(FetchedKind::InvoicePayment)),
        ("ch_1", Some(FetchedKind::Charge)),
        ("pi_1", None),
        ("", None),
    ] {
        assert_eq!(FetchedKind::of_id(id), kind);
    }
}

#[test]
fn what_whoever_runs_a_connected_account_chose_names_nothing_here() {
    let (_, object) = sample("subscription");
    let own = showing(FetchedKind::Subscription, &object);
    let connected = Showing { account: Some("acct_1"), ..own };
    let read = |showing: &Showing<'_>| read(&showing.to_body().unwrap()).unwrap();
    let (own, connected) = (read(&own), read(&connected));
    assert_eq!(
        (own.account, connected.account.as_ref().map(AsRef::as_ref)),
        (None, Some("acct_1"))
    );
    assert_ne!(own.id, connected.id);
    let names = |told: Observation| {
        let Seen::Subscription(seen) = told.seen else { panic!("no subscription") };
        let items = seen.state.items.into_iter();
        items.map(|item| (item.lookup_key.is_some(), item.product.is_some())).collect::<Vec<_>>()
    };
    assert!(names(own.told.unwrap()).iter().all(|(_, product)| *product));
    assert!(names(connected.told.unwrap()).iter().all(|names| *names == (false, false)));
}
