//! Values for tests. Owns: short constructors and random facts of every kind. Must not know: the
//! store.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Customer;
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, PriceId, ProductId, SessionId, SubscriptionId,
};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::news::{News, Told};
use tollgate_domain::operator_fact::{Effect, OperatorFact, OverrideEffect, Revocation, Terms};
use tollgate_domain::own_claim::OwnClaim;
use tollgate_domain::payment::InvoicePayment;
use tollgate_domain::{Facts, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::inbox::{BodyCodec, EventKey, EventStatus, NewEvent, Outcome, StoredBody};

mod payment;
mod subscription;

pub(crate) use payment::invoice;
use payment::{adjustment, invoice_payment, purchase};
pub(crate) use subscription::state;
use subscription::{schedule, subscription};

pub(crate) fn account(id: &str) -> AccountId {
    AccountId::parse(id).unwrap()
}

pub(crate) fn object(id: &str) -> ObjectId {
    ObjectId::parse(id).unwrap()
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    crate::database::start().plus_ms(seconds * 1_000)
}

/// The head an account has after its first commit.
pub(crate) fn head(id: &str) -> AccountHead {
    AccountHead { known: true, revision: 1, ..AccountHead::unknown(account(id)) }
}

pub(crate) fn key(id: &str) -> EventKey {
    EventKey { event: EventId::parse(id).unwrap(), livemode: false, stripe_account: String::new() }
}

/// An outcome with nothing but its status; open ones are due at the start.
pub(crate) fn outcome(status: EventStatus) -> Outcome {
    let open = !status.is_final() && status != EventStatus::Dead;
    Outcome {
        status,
        account: None,
        reason: None,
        attempts: 1,
        next_attempt_at: open.then(|| at(0)),
        processed_at: status.is_final().then(|| at(0)),
        duration_us: None,
    }
}

pub(crate) fn event(id: &str, status: EventStatus) -> NewEvent<'static> {
    NewEvent {
        key: key(id),
        event_type: Cow::Borrowed("invoice.paid"),
        api_version: Some(Cow::Borrowed("2026-10-28.endive")),
        created_at: Some(at(-1)),
        signed_at: Some(at(0)),
        received_at: at(0),
        object: Some(object("in_1")),
        body: StoredBody {
            bytes: Cow::Borrowed(b"{}\0\xff"),
            codec: BodyCodec::ZstdDictionary(7),
            raw_len: 4_000,
        },
        outcome: outcome(status),
    }
}

/// Draws values that are the same in every run.
pub(crate) struct Source(TestRunner);

impl Source {
    pub(crate) fn new() -> Self {
        Self(TestRunner::deterministic())
    }

    pub(crate) fn draw<S: Strategy>(&mut self, strategy: &S) -> S::Value {
        strategy.new_tree(&mut self.0).unwrap().current()
    }
}

/// Any text, with what hurts made frequent.
fn text() -> impl Strategy<Value = String> {
    let odd = prop_oneof![
        Just('\0'),
        Just('\u{1a}'),
        Just('0'),
        Just('1'),
        Just('"'),
        Just('\''),
        Just('\\'),
        Just('{'),
        Just('$'),
        Just('\n'),
        Just('\u{2028}'),
        Just('\u{10ffff}'),
        Just('é'),
        any::<char>(),
    ];
    vec(odd, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn boxed_text() -> impl Strategy<Value = Option<Box<str>>> {
    option::of(text().prop_map(String::into_boxed_str))
}

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
        Just(Timestamp::from_millis(0)),
        (1_500_000_000_000_i64..2_000_000_000_000).prop_map(Timestamp::from_millis),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_.:-]{1,24}", "[a-z]{120,128}"]
}

macro_rules! id_strategies {
    ($($name:ident -> $type:ty;)*) => {$(
        fn $name() -> impl Strategy<Value = $type> {
            id().prop_map(|id| <$type>::parse(&id).unwrap())
        }
    )*};
}
id_strategies! {
    member_id -> MemberId;
    event_id -> EventId;
    customer_id -> CustomerId;
    subscription_id -> SubscriptionId;
    invoice_id -> InvoiceId;
    session_id -> SessionId;
    price_id -> PriceId;
    product_id -> ProductId;
    adjustment_id -> AdjustmentId;
    object_id -> ObjectId;
    fact_id -> FactId;
}

fn plan_id() -> impl Strategy<Value = PlanId> {
    "[a-z0-9]{1,8}(_[a-z0-9]{1,8}){0,2}".prop_map(|id| PlanId::parse(&id).unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    (any::<i64>(), "[a-z]{3}").prop_map(|(amount_minor, code)| Money {
        amount_minor,
        currency: Currency::parse(&code).unwrap(),
    })
}

fn own_claim() -> impl Strategy<Value = OwnClaim> {
    let named = || option::of(prop::sample::select(vec!["acme", "auth0|5f", "org/7"]));
    let account = |text: Option<&str>| text.map(|text| AccountId::parse(text).unwrap());
    (named(), instant(), event_id(), named()).prop_map(move |(one, at, event, other)| OwnClaim {
        account: account(one),
        at,
        event,
        overruled: account(other),
    })
}

fn customer() -> impl Strategy<Value = Customer> {
    let sources = (option::of(instant()), option::of(event_id()), option::of(own_claim()));
    let deleted = option::of(instant());
    (customer_id(), option::of(member_id()), boxed_text(), deleted, sources).prop_map(
        |(id, member, email, deleted_at, (at, event, own_claim))| Customer {
            own_claim,
            id,
            member,
            email,
            deleted_at,
            at,
            event,
        },
    )
}

fn effect() -> impl Strategy<Value = Effect> {
    let what = prop_oneof![
        Just(OverrideEffect::On),
        Just(OverrideEffect::Off),
        option::of(any::<u64>()).prop_map(OverrideEffect::Limit),
    ];
    prop_oneof![
        plan_id().prop_map(|plan| Effect::Waiver { plan }),
        plan_id().prop_map(|plan| Effect::Grant { plan }),
        (option::of(member_id()), any::<u32>())
            .prop_map(|(member, count)| Effect::Boost { member, count }),
        (plan_id(), what).prop_map(|(feature, what)| Effect::Override {
            feature: FeatureKey::parse(feature.as_str()).unwrap(),
            what,
        }),
    ]
}

pub(crate) fn operator_fact() -> impl Strategy<Value = OperatorFact> {
    let terms = (text(), text(), instant(), option::of(instant()), option::of(text())).prop_map(
        |(reason, granted_by, granted_at, expires_at, internal_notes)| Terms {
            reason,
            granted_by,
            granted_at,
            expires_at,
            internal_notes,
        },
    );
    let revocation = (instant(), text(), option::of(text()))
        .prop_map(|(at, by, reason)| Revocation { at, by, reason });
    (fact_id(), effect(), terms, option::of(revocation)).prop_map(
        |(id, effect, terms, revocation)| OperatorFact {
            id,
            effect,
            terms,
            revocation,
            told: Told::new(),
        },
    )
}

/// Changes of every kind, as they may come for one account.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let stripe = (
        vec(customer(), 0..3),
        vec(subscription(), 0..3),
        vec(invoice(), 0..3),
        vec(purchase(), 0..3),
        vec(adjustment(), 0..3),
        vec(schedule(), 0..3),
        vec(invoice_payment(), 0..3),
    );
    (stripe, vec(operator_fact(), 0..9), any::<bool>()).prop_map(|(stripe, ours, is_told)| {
        let mut all = vec![Change::CreateAccount];
        all.extend(stripe.0.into_iter().map(Change::SaveCustomer));
        for subscription in stripe.1 {
            let (id, history) = (subscription.id.clone(), subscription.history.clone());
            all.push(Change::SaveSubscription(subscription));
            let append = |state| Change::AppendSubscriptionState(id.clone(), state);
            all.extend(history.into_iter().map(append));
        }
        all.extend(stripe.2.into_iter().map(Change::SaveInvoice));
        all.extend(stripe.3.into_iter().map(Change::SavePurchase));
        all.extend(stripe.4.into_iter().map(Change::SaveAdjustment));
        all.extend(stripe.5.into_iter().map(Change::SaveSchedule));
        all.extend(stripe.6.into_iter().map(Change::SaveInvoicePayment));
        all.extend(ours.into_iter().map(Change::SaveOperatorFact));
        if is_told { all.into_iter().map(told).collect() } else { all }
    })
}

/// The same change, where its fact keeps what was told of it.
pub(crate) fn told(mut change: Change) -> Change {
    let told = match &mut change {
        Change::SaveSubscription(one) => &mut one.told,
        Change::SaveInvoice(one) => &mut one.told,
        Change::SavePurchase(one) => &mut one.told,
        Change::SaveAdjustment(one) => &mut one.told,
        Change::SaveOperatorFact(one) => &mut one.told,
        Change::CreateAccount
        | Change::HandOver { .. }
        | Change::TakeOver { .. }
        | Change::SaveCustomer(_)
        | Change::AppendSubscriptionState(..)
        | Change::SaveSchedule(_)
        | Change::SaveInvoicePayment(_)
        | Change::SaveFinding(_) => return change,
    };
    let invoice = InvoiceId::parse("in_1").ok();
    told.extend([News::Paid, News::AttemptFailed(2), News::GraceEnded(invoice)]);
    change
}

/// What paid an invoice.
pub(crate) fn paid(payment: &str) -> Change {
    let (payment, invoice) = (object(payment), InvoiceId::parse("in_1").unwrap());
    Change::SaveInvoicePayment(InvoicePayment { payment, invoice, at: at(0) })
}

/// The facts that changes lead to.
pub(crate) fn facts(account: &AccountId, changes: &[Change]) -> Facts {
    let mut facts = Facts::unknown(account.clone());
    for change in changes {
        facts.apply(change);
    }
    facts.revision = 1;
    facts
}

/// A link of an object that stands for its own group and is claimed at the beginning of time.
pub(crate) fn link(id: &str, owner: &str) -> tollgate_domain::Link {
    use tollgate_domain::owner::{Basis, Claimed};
    let event = EventId::parse("evt_claim").unwrap();
    tollgate_domain::Link {
        object: object(id),
        account: account(owner),
        root: object(id),
        basis: Basis::Claimed(Claimed { named: false, at: at(0), edited: false, event }),
        gone_at: None,
    }
}

/// A link of an object that belongs to the group of another one.
pub(crate) fn member_of(root: &tollgate_domain::Link, id: &str) -> tollgate_domain::Link {
    tollgate_domain::Link { object: object(id), ..root.clone() }
}
