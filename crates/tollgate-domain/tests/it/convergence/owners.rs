//! Whose an object is, whatever the order of arrival: one customer that pays for several accounts,
//! claims that come late, claims that contradict each other.
//!
//! An account that some orders made and that is left with nothing is no difference; neither is a
//! customer that is only named, nor that something changed hands on the way.

use proptest::prelude::*;
use tollgate_domain::EventKind as E;
use tollgate_domain::facts::Customer;
use tollgate_domain::finding;
use tollgate_domain::ids::AccountId;
use tollgate_domain::payment::{AdjustmentKind, InvoiceStatus, PurchaseKind};
use tollgate_domain::time::Timestamp;
use tollgate_domain::{Catalog, Facts, Observation, OwnerClaim};

use super::{GRAINS, soup};
use crate::story::{Cs, Inv, Story, Sub};
use crate::world::{World, catalog};

const PAYMENT: (&str, &str) = ("pi_1", "ch_1");

/// What has to be the same in every order.
#[derive(Debug, PartialEq)]
struct Owned(Vec<Facts>, Vec<(String, AccountId)>, Vec<String>);

impl Owned {
    fn of(world: &World, catalog: &Catalog) -> Self {
        let plain = |facts: &Facts| {
            let mut facts = facts.clone();
            facts.known = true;
            // What was heard of at times depends on what was known then; what is true now does not.
            facts.findings.clear();
            for change in finding::review(&facts, catalog, Timestamp::MAX) {
                facts.apply(&change);
            }
            let pays = |one: &Customer| {
                facts.subscriptions.values().any(|paid| paid.customer.as_ref() == Some(&one.id))
            };
            let told: Vec<Customer> = facts
                .customers
                .values()
                .filter(|one| one.at.is_some() || (one.deleted_at.is_some() && pays(one)))
                .cloned()
                .collect();
            facts.customers = told.into_iter().map(|one| (one.id.clone(), one)).collect();
            facts
        };
        let nothing = |facts: &Facts| {
            facts.subscriptions.is_empty()
                && facts.invoices.is_empty()
                && facts.purchases.is_empty()
                && facts.adjustments.is_empty()
                && facts.customers.is_empty()
        };
        let facts = world.facts.values().map(plain).filter(|facts| !nothing(facts)).collect();
        let links = world.links.accounts().into_iter();
        let links = links.map(|(id, account)| (id.to_string(), account.clone())).collect();
        Self(facts, links, world.waiting.keys().map(ToString::to_string).collect())
    }
}

fn assert_owners_in_every_order(story: &Story, catalog: &Catalog) {
    let events = &story.events;
    let mut worlds: Vec<World> = vec![World::default()];
    for set in 1..1usize << events.len() {
        let mut members = (0..events.len()).filter(|index| set >> index & 1 == 1);
        let first = members.next().unwrap();
        let after = |last: usize| {
            let mut world = worlds[set & !(1 << last)].clone();
            world.deliver(&events[last], catalog);
            world
        };
        let expected = after(first);
        for last in members {
            let (one, other) = (Owned::of(&expected, catalog), Owned::of(&after(last), catalog));
            assert!(
                one == other,
                "{}: {:?} last or {:?} last differ\n{}",
                story.name,
                events[last],
                events[first],
                super::lines_that_differ(&one, &other),
            );
        }
        worlds.push(expected);
    }
}

/// Claims by the story's place: `a`, `b`, or `-` for none.
fn claiming(mut story: Story, claims: &str) -> Story {
    let claims: Vec<&str> = claims.split_whitespace().collect();
    assert_eq!(claims.len(), story.events.len(), "{}", story.name);
    for (event, claim) in story.events.iter_mut().zip(claims) {
        event.claim = account(claim);
    }
    story
}

fn account(name: &str) -> Option<OwnerClaim> {
    let account = match name {
        "a" => "acme",
        "b" => "borealis",
        _ => return None,
    };
    let account = AccountId::parse(account).unwrap();
    Some(OwnerClaim { account, member: None, edited: false })
}

fn paid(id: &'static str, subscription: &'static str) -> Inv {
    Inv { status: InvoiceStatus::Paid, ..Inv::of(id, subscription, "subscription_cycle") }
}

/// One customer, two workspaces, a subscription each.
fn two_workspaces() -> Story {
    let (one, two) =
        (Sub::of("sub_1", "active", "price_basic"), Sub::of("sub_2", "active", "price_premium"));
    Story::of("two workspaces of one customer")
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .sub(E::SubscriptionCreated, &one)
        .sub(E::SubscriptionCreated, &two)
        .invoice(E::InvoicePaid, &paid("in_2", "sub_2"))
        .invoice_payment("inpay_2", "in_2", "pi_1")
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            100,
            "partial",
        )
        .customer(E::CustomerUpdated, Some("pays@example.org"))
}

#[test]
fn each_subscription_of_one_customer_belongs_to_the_account_it_names() {
    let catalog = catalog();
    for (claims, second) in [
        // Everything that shows the subscription's metadata names its account.
        ("a a b b - - -", "borealis"),
        // Shapes whose invoices show no metadata: the invoice alone follows the customer at first.
        ("a a b - - - -", "borealis"),
        ("a - b - - - -", "borealis"),
        // The customer itself is another's.
        ("- a b - - - a", "borealis"),
        // Nothing but the customer names an account.
        ("- - - - - - a", "acme"),
        ("a - - - - - -", "acme"),
    ] {
        let story = claiming(two_workspaces(), claims);
        for grain in GRAINS {
            assert_owners_in_every_order(&story.clone().coarse(grain), &catalog);
        }
        let world = World::after(&story.reversed().events, &catalog);
        let second = &world.facts[&AccountId::parse(second).unwrap()];
        assert!(second.subscriptions.contains_key("sub_2"), "{claims}");
        assert!(second.invoices.contains_key("in_2"), "{claims}");
        assert!(second.adjustments.contains_key("ch_1"), "{claims}");
        assert!(world.acme().subscriptions.contains_key("sub_1"), "{claims}");
    }
}

#[test]
fn a_subscription_that_names_its_account_goes_before_the_session_that_names_another() {
    let catalog = catalog();
    let sub = Sub::of("sub_1", "active", "price_basic");
    let story = Story::of("a session that names another account")
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .sub(E::SubscriptionCreated, &sub)
        .invoice(E::InvoicePaid, &paid("in_1", "sub_1"))
        .sub(E::SubscriptionUpdated, &sub);
    for (claims, owner) in
        [("b a b -", "acme"), ("b - - a", "acme"), ("b a b b", "acme"), ("b - b -", "borealis")]
    {
        let story = claiming(story.clone(), claims);
        for grain in GRAINS {
            assert_owners_in_every_order(&story.clone().coarse(grain), &catalog);
        }
        let world = World::after(&story.events, &catalog);
        let owner = &world.facts[&AccountId::parse(owner).unwrap()];
        assert!(owner.subscriptions.contains_key("sub_1"), "{claims}");
    }
}

#[test]
fn a_deleted_customer_ends_what_it_pays_for_in_every_account() {
    let catalog = catalog();
    let (one, two) =
        (Sub::of("sub_1", "active", "price_basic"), Sub::of("sub_2", "active", "price_premium"));
    for claims in ["a a b - b", "- a b - b", "- a b a b", "b a b - -"] {
        let story = Story::of("a customer that is gone")
            .customer(E::CustomerUpdated, Some("pays@example.org"))
            .sub(E::SubscriptionCreated, &one)
            .sub(E::SubscriptionCreated, &two)
            .customer(E::CustomerDeleted, None)
            .sub(E::SubscriptionUpdated, &two);
        let story = claiming(story, claims);
        for grain in GRAINS {
            assert_owners_in_every_order(&story.clone().coarse(grain), &catalog);
        }
        let world = World::after(&story.events, &catalog);
        let gone = Some(story.events[3].at);
        for (account, paid) in [("acme", "sub_1"), ("borealis", "sub_2")] {
            let facts = &world.facts[&AccountId::parse(account).unwrap()];
            assert!(facts.subscriptions.contains_key(paid), "{claims} {account}");
            let customer = facts.customers.values().next().unwrap();
            assert_eq!((customer.deleted_at, customer.email.as_deref()), (gone, None), "{claims}");
        }
    }
}

#[test]
fn an_invoice_that_comes_before_its_subscription_goes_where_the_subscription_goes() {
    let catalog = catalog();
    let story = Story::of("invoice first")
        .customer(E::CustomerCreated, Some("pays@example.org"))
        .sub(E::SubscriptionCreated, &Sub::of("sub_1", "active", "price_basic"))
        .invoice(E::InvoicePaid, &paid("in_1", "sub_1"));
    for (claims, after_invoice) in [("a b b", "borealis"), ("a b -", "acme")] {
        let story = claiming(story.clone(), claims);
        let [customer, subscription, invoice] = story.events.as_slice() else { panic!() };
        let mut world = World::default();
        world.deliver(customer, &catalog);
        world.deliver(invoice, &catalog);
        let first = AccountId::parse(after_invoice).unwrap();
        assert!(world.facts[&first].invoices.contains_key("in_1"), "{claims}");
        world.deliver(subscription, &catalog);
        let borealis = &world.facts["borealis"];
        assert!(borealis.invoices.contains_key("in_1"), "{claims}");
        assert!(borealis.subscriptions.contains_key("sub_1"), "{claims}");
        assert!(world.acme().invoices.is_empty(), "{claims}");
        assert_owners_in_every_order(&story, &catalog);
    }
}

#[test]
fn the_claim_made_first_decides_in_every_order() {
    let catalog = catalog();
    let active = Sub::of("sub_1", "active", "price_basic");
    let story = Story::of("metadata corrected")
        .sub(E::SubscriptionCreated, &active)
        .invoice(E::InvoicePaid, &paid("in_1", "sub_1"))
        .later(60)
        .sub(E::SubscriptionUpdated, &active)
        .invoice(E::InvoicePaid, &paid("in_2", "sub_1"));
    let mut story = claiming(story, "a a b b");
    assert_owners_in_every_order(&story, &catalog);
    let world = World::after(&story.events, &catalog);
    assert_eq!(world.acme().invoices.len(), 2);
    assert_eq!(world.journal["owner.contradicted"], 2);
    // In one second, what tells of a change of the metadata comes after what does not.
    story.events[2].claim.as_mut().unwrap().edited = true;
    story.events[3].claim = None;
    let story = story.coarse(GRAINS[2]);
    assert_owners_in_every_order(&story, &catalog);
    assert_eq!(World::after(&story.reversed().events, &catalog).acme().invoices.len(), 2);
}

#[test]
fn a_purchase_and_its_refund_go_together() {
    let catalog = catalog();
    let story = Story::of("a purchase for another account")
        .customer(E::CustomerCreated, None)
        .session(E::CheckoutCompleted, &Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499))
        .adjustment(E::RefundCreated, ("re_1", AdjustmentKind::Refund), PAYMENT, 499, "succeeded")
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            499,
            "full",
        );
    let story = claiming(story, "a b - -");
    for grain in GRAINS {
        assert_owners_in_every_order(&story.clone().coarse(grain), &catalog);
    }
    let world = World::after(&story.reversed().events, &catalog);
    let borealis = &world.facts["borealis"];
    assert_eq!((borealis.purchases.len(), borealis.adjustments.len()), (1, 2));
    assert!(world.acme().adjustments.is_empty());
    assert_eq!(world.told(tollgate_domain::BillingEventKind::BadgeRevoked), 1, "told once");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn contradictory_claims_converge_too(
        story in soup::soup(6),
        claims in prop::collection::vec(prop::sample::select(vec!["a", "b", "-", "-"]), 6),
    ) {
        let mut story: Story = story;
        let set = |(event, claim): (&mut Observation, &&str)| event.claim = account(claim);
        story.events.iter_mut().zip(&claims).for_each(set);
        assert_owners_in_every_order(&story, &catalog());
    }
}
