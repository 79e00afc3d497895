//! Tests of `owner`: claims and links as a table.

use super::*;
use crate::ids::{AdjustmentId, CustomerId, EventId, InvoiceId, SubscriptionId};
use crate::money::{Currency, Money};
use crate::observation::{
    EventKind, OwnerClaim, SeenAdjustment, SeenCustomer, SeenInvoice, SeenInvoicePayment,
    SeenSubscription,
};
use crate::payment::{AdjustmentKind, InvoiceState, InvoiceStatus};
use crate::subscription::{LifecycleRank, SubscriptionState, SubscriptionStatus, Version};
use crate::time::Timestamp;

fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

fn object(id: &str) -> ObjectId {
    ObjectId::parse(id).unwrap()
}

/// `claim 5`: claimed in that second; `other 5`: by another object than what stands for the group;
/// `word 5`: said by a person then; `cus_1`: follows a customer; `mail`: by e-mail.
fn basis(text: &str) -> Basis {
    let (word, second) = text.split_once(' ').unwrap_or((text, "0"));
    let at = Timestamp::from_unix_seconds(second.parse().unwrap());
    let event = EventId::parse("evt_0").unwrap();
    match word {
        "claim" => Basis::Claimed(Claimed { named: false, at, edited: false, event }),
        "other" => Basis::Claimed(Claimed { named: true, at, edited: false, event }),
        "word" => Basis::Relinked { at },
        "mail" => Basis::Matched,
        customer => Basis::Followed(object(customer)),
    }
}

fn shown_basis(basis: &Basis) -> String {
    match basis {
        Basis::Relinked { at } => format!("word {}", at.unix_seconds()),
        Basis::Claimed(claimed) => format!("claim {}", claimed.at.unix_seconds()),
        Basis::Followed(customer) => customer.to_string(),
        Basis::Matched => "mail".to_owned(),
        Basis::Met => "met".to_owned(),
    }
}

/// Links told as `sub_1=acme by claim 5` and, for a member of a group, `in_1<sub_1=acme by …`;
/// e-mails as `@acme`.
#[derive(Default)]
struct Known {
    links: Vec<Link>,
    email: Option<AccountId>,
}

impl Known {
    fn of(text: &str) -> Self {
        let mut known = Self::default();
        for told in text.split(';').map(str::trim).filter(|told| !told.is_empty()) {
            if let Some(owner) = told.strip_prefix('@') {
                known.email = Some(account(owner));
                continue;
            }
            let (objects, rest) = told.split_once('=').unwrap();
            let (owner, by) = rest.split_once(" by ").unwrap();
            let (member, root) = objects.split_once('<').unwrap_or((objects, objects));
            known.links.push(Link {
                object: object(member),
                account: account(owner),
                root: object(root),
                basis: basis(by),
                gone_at: None,
            });
        }
        known
    }
}

impl Directory for Known {
    fn link(&self, object: &ObjectId) -> Option<&Link> {
        self.links.iter().find(|link| link.object == *object)
    }

    fn by_email(&self, _email: &str) -> Option<&AccountId> {
        self.email.as_ref()
    }
}

/// Of one second.
fn observation(seen: Seen, claim: &str, second: i64) -> Observation {
    let references = match &seen {
        Seen::Subscription(_) => vec!["sub_1", "cus_1"],
        Seen::Invoice(seen) if seen.subscription.is_none() => vec!["in_1", "cus_1"],
        Seen::Invoice(_) => vec!["in_1", "sub_1", "cus_1"],
        Seen::InvoicePayment(_) => vec!["inpay_1", "pi_1", "in_1"],
        Seen::Adjustment(_) => vec!["re_1", "cus_1", "pi_1", "ch_1"],
        Seen::Customer(_)
        | Seen::Session(_)
        | Seen::Schedule(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => vec!["cus_1", "acct_1"],
    };
    let newer = references.contains(&"acct_1");
    Observation {
        event: EventId::parse("evt_1").unwrap(),
        at: Timestamp::from_unix_seconds(second),
        kind: EventKind::SubscriptionUpdated,
        fetched: None,
        claim: Some(claim).filter(|claim| *claim != "-").map(|claim| OwnerClaim {
            account: account(claim),
            member: None,
            edited: false,
        }),
        invalid_claim: None,
        customer: references.contains(&"cus_1").then(|| CustomerId::parse("cus_1").unwrap()),
        customer_account: newer.then(|| object("acct_1")),
        email: Some("ann@example.com".into()),
        references: references.into_iter().map(object).collect(),
        seen,
    }
}

/// `acme`, with ` not other` where a claim lost; then what changes: links as `id=account by basis`,
/// `id<root` for those of a group, and `root: from > into` for groups.
fn found(seen: Seen, claim: &str, known: &str) -> (String, Vec<String>) {
    let owner = choose(&observation(seen, claim, 10), &Known::of(known));
    let Owner::Found(found) = owner else { return ("none".to_owned(), Vec::new()) };
    let mut text = found.account.to_string();
    if let Some(lost) = &found.contradicted {
        text = format!("{text} not {lost}");
    }
    let link = |link: &Link| {
        let root = if link.root == link.object { String::new() } else { format!("<{}", link.root) };
        format!("{}{root}={} by {}", link.object, link.account, shown_basis(&link.basis))
    };
    let moved = |one: &Regrouping| {
        let along = if one.is_payer { " with all" } else { "" };
        format!("{}: {} > {} {}{along}", one.root, one.from, one.into, one.to)
    };
    let changes = &found.links;
    let links = changes.links.iter().map(link).chain(changes.regroupings.iter().map(moved));
    (text, links.collect())
}

fn version() -> Version {
    let event = EventId::parse("evt_1").unwrap();
    Version { at: Timestamp::from_unix_seconds(0), rank: LifecycleRank::Updated, event }
}

fn subscription() -> Seen {
    Seen::Subscription(SeenSubscription {
        id: SubscriptionId::parse("sub_1").unwrap(),
        state: SubscriptionState {
            version: version(),
            status: SubscriptionStatus::Active,
            items: Vec::new(),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            trial_end: None,
            collection_pause: None,
            billing_anchor: None,
            schedule: None,
            pending_update: None,
            items_cut: false,
            created: None,
            latest_invoice: None,
            previous: None,
            covers: Vec::new(),
        },
        schedule: None,
    })
}

fn invoice_of(subscription: Option<&str>) -> Seen {
    Seen::Invoice(SeenInvoice {
        id: InvoiceId::parse("in_1").unwrap(),
        subscription: subscription.map(|id| SubscriptionId::parse(id).unwrap()),
        state: InvoiceState {
            at: version().at,
            event: version().event,
            status: InvoiceStatus::Open,
            amount_due_minor: 1,
            amount_paid_minor: 0,
            currency: Currency::parse("usd").unwrap(),
            attempt_count: 0,
            billing_reason: None,
            collection_method: None,
            hosted_url: None,
            period_start: None,
            period_end: None,
            created: None,
        },
        lines: None,
        payments: Vec::new(),
    })
}

fn renewal() -> Seen {
    invoice_of(Some("sub_1"))
}

fn invoice() -> Seen {
    invoice_of(None)
}

fn payment() -> Seen {
    Seen::InvoicePayment(SeenInvoicePayment {
        invoice: InvoiceId::parse("in_1").unwrap(),
        payments: Vec::new(),
    })
}

fn refund() -> Seen {
    Seen::Adjustment(SeenAdjustment {
        id: AdjustmentId::parse("re_1").unwrap(),
        kind: AdjustmentKind::Refund,
        payment_intent: Some(object("pi_1")),
        charge: None,
        amount: Money { amount_minor: 1, currency: Currency::parse("usd").unwrap() },
        status: "succeeded".into(),
    })
}

fn customer() -> Seen {
    let id = CustomerId::parse("cus_1").unwrap();
    Seen::Customer(SeenCustomer { id, email: None, deleted: false })
}

/// What is seen, what is known, and the owner of either.
type OwnerCase<'a> = (fn() -> Seen, &'a str, &'a str, &'a str);

fn assert_owners(table: &[OwnerCase<'_>]) {
    for (seen, claim, known, expected) in table {
        let (owner, _) = found(seen(), claim, known);
        assert_eq!(owner, *expected, "claim {claim}, known {known}");
    }
}

#[test]
fn an_object_that_names_its_account_belongs_to_it() {
    assert_owners(&[
        (subscription, "-", "", "none"),
        (subscription, "a", "", "a"),
        // Whoever pays may be another's: each subscription belongs to whom it names.
        (subscription, "b", "cus_1=a by claim 5", "b"),
        (subscription, "-", "cus_1=a by claim 5", "a"),
        // Invoices show whom their subscription names.
        (renewal, "b", "cus_1=a by claim 5", "b"),
        (renewal, "-", "sub_1=b by claim 5; cus_1=a by claim 5", "b"),
        (renewal, "-", "cus_1=a by claim 5", "a"),
        (payment, "-", "in_1<sub_1=b by claim 5", "b"),
        (payment, "-", "cus_1=a by claim 5", "none"),
        (refund, "-", "pi_1<sub_1=b by claim 5; cus_1=a by claim 5", "b"),
        (refund, "-", "cus_1=a by claim 5", "a"),
        (customer, "-", "", "none"),
        (customer, "a", "", "a"),
        (customer, "-", "cus_1=a by claim 5", "a"),
        (customer, "-", "acct_1=a by claim 5", "a"),
        (customer, "-", "@a", "a"),
        (subscription, "-", "@a", "a"),
        (subscription, "b", "@a", "b"),
        (subscription, "-", "cus_1=b by claim 5; @a", "b"),
    ]);
}

#[test]
fn what_was_claimed_first_stays_and_what_a_person_said_stays_longer() {
    assert_owners(&[
        (subscription, "b", "sub_1=a by claim 5", "a not b"),
        (subscription, "a", "sub_1=a by claim 5", "a"),
        // The event tells of a time before the one that was known.
        (subscription, "b", "sub_1=a by claim 15", "b"),
        (subscription, "b", "sub_1=a by cus_1; cus_1=a by claim 5", "b"),
        (subscription, "b", "sub_1=a by mail", "b"),
        (subscription, "b", "sub_1=a by word 99", "a not b"),
        (subscription, "-", "sub_1=a by word 99; cus_1=b by claim 5", "a"),
        (renewal, "b", "sub_1=a by claim 5", "a not b"),
        (customer, "b", "cus_1=a by claim 5", "a not b"),
        (customer, "b", "cus_1=a by word 5", "a not b"),
    ]);
}

#[test]
fn in_one_second_the_subscription_itself_comes_before_others_and_metadata_before_its_change() {
    let claimed = |edited, named| {
        let (at, event) = (Timestamp::from_unix_seconds(1), EventId::parse("evt_1").unwrap());
        Basis::Claimed(Claimed { named, at, edited, event })
    };
    assert!(claimed(false, false).is_stronger(&claimed(false, true)));
    assert!(claimed(true, false).is_stronger(&claimed(false, true)), "its own goes first");
    assert!(basis("claim 65").is_stronger(&basis("other 5")), "in one checkout too");
    assert!(basis("other 5").is_stronger(&basis("claim 66")), "a later edit moves nothing");
    assert!(basis("word 6").is_stronger(&basis("word 5")), "the latest word counts");
    assert!(basis("word 1").is_stronger(&basis("claim 0")));
    assert!(basis("cus_1").is_stronger(&basis("mail")));
}

#[test]
fn what_an_event_tells_of_its_group_is_written_once() {
    for (seen, claim, known, expected) in [
        (subscription as fn() -> Seen, "a", "", vec!["sub_1=a by claim 10", "cus_1=a by claim 10"]),
        (subscription, "-", "cus_1=a by claim 5", vec!["sub_1=a by cus_1"]),
        (subscription, "a", "sub_1=a by claim 5; cus_1=a by claim 5", vec![]),
        (renewal, "-", "sub_1=b by claim 5; cus_1=a by claim 1", vec!["in_1<sub_1=b by claim 5"]),
        // Known by its e-mail alone, and so is whoever pays.
        (subscription, "-", "@a", vec!["sub_1=a by mail", "cus_1=a by mail"]),
        (customer, "-", "acct_1=a by claim 5", vec!["cus_1=a by acct_1"]),
        // What a person gave says nothing certain of the customer.
        (subscription, "-", "sub_1=a by word 5", vec!["cus_1=a by met"]),
        // A claim of a time before replaces the later one, also where the event does not name what
        // stands for the group.
        (
            invoice as fn() -> Seen,
            "a",
            "in_1<cs_1=a by other 15; cus_1=a by claim 5",
            vec!["cs_1=a by claim 10"],
        ),
    ] {
        assert_eq!(found(seen(), claim, known).1, expected, "claim {claim}, known {known}");
    }
}

#[test]
fn groups_that_turn_out_to_be_one_go_where_the_strongest_evidence_says() {
    for (seen, claim, known, expected) in [
        // An invoice that came first followed the customer; its subscription names another account.
        (
            subscription as fn() -> Seen,
            "b",
            "sub_1<in_1=a by cus_1; cus_1=a by claim 5",
            vec!["in_1=b by claim 10", "in_1: a > in_1 b"],
        ),
        // A payment that was the customer's turns out to be the invoice's.
        (
            payment,
            "-",
            "pi_1<ch_1=a by cus_1; in_1<sub_1=b by claim 5",
            vec!["inpay_1<sub_1=b by claim 5", "ch_1: a > sub_1 b"],
        ),
        // The same within one account: nothing moves, the groups become one.
        (
            payment,
            "-",
            "pi_1<ch_1=b by cus_1; in_1<sub_1=b by claim 5",
            vec!["inpay_1<sub_1=b by claim 5", "ch_1: b > sub_1 b"],
        ),
        // A customer claimed earlier by another: whoever follows it goes along.
        (
            customer,
            "b",
            "cus_1=a by claim 15; acct_1=b by claim 1",
            vec!["cus_1=b by claim 10", "cus_1: a > cus_1 b with all"],
        ),
    ] {
        assert_eq!(found(seen(), claim, known).1, expected, "claim {claim}, known {known}");
    }
}

#[test]
fn what_follows_a_customer_goes_along_with_it() {
    let known = Known::of(
        "cus_1=a by claim 15; sub_1=a by cus_1; in_1<sub_1=a by cus_1; sub_2=a by claim 3; \
         acct_1=a by cus_1; sub_3=a by acct_1; sub_4=a by cus_2",
    );
    let mut links: Links = known.links.into_iter().collect();
    let event = observation(customer(), "b", 10);
    let Owner::Found(found) = choose(&event, &links) else { panic!("nobody") };
    let moves = links.moves(&found.links);
    let [(_, along)] = moves.as_slice() else { panic!("one move: {moves:?}") };
    let along: Vec<String> = along.iter().map(ToString::to_string).collect();
    assert_eq!(along, ["acct_1", "cus_1", "in_1", "sub_1", "sub_3"]);
    links.apply(&found.links);
    let of = |id: &str| links.link(&object(id)).unwrap().account.to_string();
    assert_eq!(["cus_1", "in_1", "sub_2", "sub_3", "sub_4"].map(of), ["b", "b", "a", "b", "a"]);
}
