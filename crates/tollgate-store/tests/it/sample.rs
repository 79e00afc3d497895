//! Values for tests. Owns: short constructors and random facts of every kind. Must not know: the
//! store.

use std::collections::BTreeMap;

use std::borrow::Cow;

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tollgate_domain::change::Change;
use tollgate_domain::facts::{
    BoostGrant, Customer, Grant, Override, OverrideEffect, Revocation, Waiver,
};
use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, PriceId, ProductId, SessionId, SubscriptionId,
};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::own_claim::OwnClaim;
use tollgate_domain::payment::{
    Adjustment, AdjustmentKind, FailedAttempt, Goods, Invoice, InvoiceLine, InvoiceLines,
    InvoicePayment, InvoiceState, InvoiceStatus, Purchase, PurchaseKind, PurchaseLine, Sale,
    SessionMode, SessionStatus,
};
use tollgate_domain::subscription::{
    CollectionPause, LifecycleRank, PendingUpdate, Phase, PlannedItem, PlannedPrice,
    PreviousValues, Schedule, ScheduleVersion, Subscription, SubscriptionItem, SubscriptionState,
    SubscriptionStatus, Version,
};
use tollgate_domain::{Facts, Timestamp};
use tollgate_store::accounts::AccountHead;
use tollgate_store::inbox::{BodyCodec, EventKey, EventStatus, NewEvent, Outcome, StoredBody};

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

fn status() -> impl Strategy<Value = SubscriptionStatus> {
    let known = prop::sample::select(vec![
        "incomplete",
        "incomplete_expired",
        "trialing",
        "active",
        "past_due",
        "unpaid",
        "paused",
        "canceled",
    ]);
    prop_oneof![known.prop_map(str::to_owned), text()]
        .prop_map(|text| SubscriptionStatus::parse(&text))
}

fn item() -> impl Strategy<Value = SubscriptionItem> {
    let period = (option::of(instant()), option::of(instant()));
    (price_id(), boxed_text(), option::of(product_id()), any::<u64>(), period).prop_map(
        |(price, lookup_key, product, quantity, (period_start, period_end))| SubscriptionItem {
            price,
            lookup_key,
            product,
            quantity,
            period_start,
            period_end,
        },
    )
}

fn previous() -> impl Strategy<Value = PreviousValues> {
    let maybe = || option::of(option::of(instant()));
    (
        option::of(status()),
        option::of(vec(item(), 0..3)),
        option::of(any::<bool>()),
        (maybe(), maybe(), maybe(), maybe()),
        (option::of(any::<bool>()), option::of(any::<bool>())),
        (option::of(option::of(invoice_id())), option::of(option::of(object_id()))),
    )
        .prop_map(|(status, items, at_end, times, flags, objects)| {
            let (collection_paused, update_pending) = flags;
            let (latest_invoice, schedule) = objects;
            PreviousValues {
                status,
                items,
                cancel_at_period_end: at_end,
                cancel_at: times.0,
                canceled_at: times.1,
                ended_at: times.2,
                trial_end: times.3,
                collection_paused,
                schedule,
                update_pending,
                latest_invoice,
            }
        })
}

fn version() -> impl Strategy<Value = Version> {
    (instant(), 0_i64..5, event_id()).prop_map(|(at, rank, event)| Version {
        at,
        rank: LifecycleRank::from_i64(rank).unwrap(),
        event,
    })
}

pub(crate) fn state() -> impl Strategy<Value = SubscriptionState> {
    let maybe = || option::of(instant());
    (
        (version(), status(), vec(item(), 0..4), any::<bool>(), any::<bool>()),
        (maybe(), maybe(), maybe(), maybe(), maybe(), maybe()),
        (
            option::of(invoice_id()),
            option::of(object_id()),
            option::of(pause()),
            option::of(pending()),
        ),
        (option::of(previous()), vec(event_id(), 0..3)),
    )
        .prop_map(
            |(
                (version, status, items, at_end, items_cut),
                times,
                (latest_invoice, schedule, collection_pause, pending_update),
                (previous, covers),
            )| {
                SubscriptionState {
                    version,
                    status,
                    items,
                    cancel_at_period_end: at_end,
                    cancel_at: times.0,
                    canceled_at: times.1,
                    ended_at: times.2,
                    trial_end: times.3,
                    collection_pause,
                    billing_anchor: times.5,
                    schedule,
                    pending_update,
                    items_cut,
                    created: times.4,
                    latest_invoice,
                    previous: previous.map(Box::new),
                    covers,
                }
            },
        )
}

fn pause() -> impl Strategy<Value = CollectionPause> {
    (boxed_text(), option::of(instant()))
        .prop_map(|(behavior, resumes_at)| CollectionPause { behavior, resumes_at })
}

fn planned() -> impl Strategy<Value = PlannedItem> {
    item().prop_map(|item| PlannedItem {
        price: item.price,
        lookup_key: item.lookup_key,
        product: None,
        interval: None,
        quantity: item.quantity,
    })
}

fn pending() -> impl Strategy<Value = PendingUpdate> {
    (vec(planned(), 0..3), instant())
        .prop_map(|(items, expires_at)| PendingUpdate { items, expires_at })
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let phase = (instant(), option::of(instant()), vec(planned(), 0..3))
        .prop_map(|(start, end, items)| Phase { start, end, items });
    let version = (any::<bool>(), instant(), any::<u8>(), event_id())
        .prop_map(|(over, at, rank, event)| ScheduleVersion { over, at, rank, event });
    let price = (instant(), boxed_text(), any::<bool>()).prop_map(|(at, key, yearly)| {
        let interval = yearly.then_some(tollgate_domain::catalog::Interval::Year);
        PlannedPrice { at, lookup_key: key, product: None, interval }
    });
    let prices = vec((item(), price), 0..3).prop_map(|all| {
        all.into_iter().map(|(item, price)| (item.price, price)).collect::<BTreeMap<_, _>>()
    });
    let about = (object_id(), option::of(subscription_id()), any::<bool>(), any::<bool>());
    (about, version, vec(phase, 0..3), prices).prop_map(
        |((id, subscription, cancels, tied), version, phases, prices)| Schedule {
            id,
            subscription,
            version,
            phases,
            cancels,
            tied,
            prices,
        },
    )
}

fn invoice_payment() -> impl Strategy<Value = InvoicePayment> {
    (object_id(), invoice_id(), instant()).prop_map(|(payment, invoice, at)| InvoicePayment {
        payment,
        invoice,
        at,
    })
}

fn lines() -> impl Strategy<Value = InvoiceLines> {
    let line =
        (planned(), any::<i64>(), (instant(), instant()), any::<bool>(), option::of(object_id()))
            .prop_map(|(sold, amount_minor, (start, end), proration, item)| InvoiceLine {
                price: sold.price,
                lookup_key: sold.lookup_key,
                product: None,
                quantity: sold.quantity,
                amount_minor,
                start,
                end,
                proration,
                item,
            });
    (instant(), event_id(), any::<bool>(), vec(line, 0..3)).prop_map(|(at, event, cut, all)| {
        InvoiceLines { at, event, status: InvoiceStatus::Open, cut, all }
    })
}

fn subscription() -> impl Strategy<Value = Subscription> {
    let owner = (option::of(customer_id()), option::of(member_id()), option::of(own_claim()));
    let parts = (subscription_id(), owner, vec(state(), 1..4));
    parts.prop_map(|(id, (customer, member, own_claim), states)| {
        let mut states = states.into_iter();
        let first = states.next().unwrap();
        let mut subscription = Subscription::first_seen(id, customer, member, first.clone());
        subscription.remember(first);
        for state in states {
            subscription.observe(state.clone());
            subscription.remember(state);
        }
        subscription.own_claim = own_claim;
        subscription
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

pub(crate) fn invoice() -> impl Strategy<Value = Invoice> {
    let statuses = prop::sample::select(vec![
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
        InvoiceStatus::Paid,
    ]);
    let failed = (any::<u32>(), instant()).prop_map(|(attempt, at)| FailedAttempt { attempt, at });
    let maybe = || option::of(instant());
    (
        (invoice_id(), option::of(subscription_id()), instant(), event_id(), statuses),
        (any::<i64>(), money(), any::<u32>()),
        (boxed_text(), boxed_text(), boxed_text()),
        (maybe(), maybe(), maybe(), maybe()),
        (vec(failed, 0..4), option::of(customer_id()), option::of(lines())),
    )
        .prop_map(
            |(
                (id, subscription, at, event, status),
                sums,
                texts,
                times,
                (failed, customer, lines),
            )| {
                let state = InvoiceState {
                    at,
                    event,
                    status,
                    amount_due_minor: sums.0,
                    amount_paid_minor: sums.1.amount_minor,
                    currency: sums.1.currency,
                    attempt_count: sums.2,
                    billing_reason: texts.0,
                    collection_method: texts.1,
                    hosted_url: texts.2,
                    period_start: times.0,
                    period_end: times.1,
                    created: times.2,
                };
                let paid_at = times.3;
                Invoice {
                    id,
                    subscription,
                    customer,
                    state,
                    lines,
                    failed_attempts: failed,
                    paid_at,
                }
            },
        )
}

fn line() -> impl Strategy<Value = PurchaseLine> {
    let names = (boxed_text(), option::of(product_id()));
    (text(), price_id(), names, any::<u64>(), option::of(money())).prop_map(
        |(id, price, (lookup_key, product), quantity, total)| PurchaseLine {
            id: id.into(),
            price,
            lookup_key,
            product,
            quantity,
            total,
        },
    )
}

fn sale() -> impl Strategy<Value = Sale> {
    let plan = (plan_id(), any::<u32>(), any::<u32>());
    let goods = prop_oneof![
        Just(Goods::Badge),
        plan.prop_map(|(plan, rank, days)| Goods::Plan { plan, rank, days }),
    ];
    let price = (option::of(price_id()), option::of(product_id()));
    (goods, boxed_text(), price, any::<u64>(), option::of(money()), text()).prop_map(
        |(goods, line, (price, product), quantity, amount, catalog)| Sale {
            line,
            goods,
            price,
            product,
            quantity,
            amount,
            catalog: catalog.into(),
        },
    )
}

fn purchase() -> impl Strategy<Value = Purchase> {
    let modes = prop::sample::select(vec![
        SessionMode::Payment,
        SessionMode::Subscription,
        SessionMode::Setup,
    ]);
    let kinds = prop_oneof![
        Just(PurchaseKind::Badge),
        option::of(plan_id()).prop_map(|claimed| PurchaseKind::Grant { claimed }),
        Just(PurchaseKind::Boost),
        Just(PurchaseKind::Other),
    ];
    let statuses = prop::sample::select(vec![
        SessionStatus::Open,
        SessionStatus::Expired,
        SessionStatus::Complete,
    ]);
    (
        (session_id(), modes, kinds, statuses, event_id(), any::<bool>()),
        (option::of(member_id()), option::of(subscription_id()), option::of(object_id())),
        (vec(line(), 0..3), btree_set(money(), 0..3), option::of(money()), vec(sale(), 0..3)),
        (option::of(instant()), option::of(instant()), option::of(own_claim())),
    )
        .prop_map(|((id, mode, kind, status, event, names_owner), refs, sums, times)| {
            Purchase {
                own_claim: times.2,
                id,
                mode,
                kind,
                names_owner,
                member: refs.0,
                subscription: refs.1,
                payment_intent: refs.2,
                lines: sums.0,
                amounts: sums.1,
                total: sums.2,
                status,
                paid_at: times.0,
                failed_at: times.1,
                event,
                sales: sums.3,
            }
        })
}

fn adjustment() -> impl Strategy<Value = Adjustment> {
    let kinds = prop::sample::select(vec![
        AdjustmentKind::Refund,
        AdjustmentKind::Dispute,
        AdjustmentKind::ChargeRefunds,
    ]);
    (
        (adjustment_id(), kinds, money(), text(), instant(), event_id()),
        (option::of(object_id()), option::of(object_id()), option::of(instant())),
    )
        .prop_map(|((id, kind, amount, status, at, event), refs)| Adjustment {
            id,
            kind,
            payment_intent: refs.0,
            charge: refs.1,
            amount,
            status: status.into(),
            at,
            event,
            effective_at: refs.2,
        })
}

fn revocation() -> impl Strategy<Value = Revocation> {
    (instant(), text(), option::of(text())).prop_map(|(at, by, reason)| Revocation {
        at,
        by,
        reason,
    })
}

/// What all our own facts have: id, reason, by, at, until, revoked.
type Own = (FactId, String, String, Timestamp, Option<Timestamp>, Option<Revocation>);

fn own() -> impl Strategy<Value = Own> {
    (fact_id(), text(), text(), instant(), option::of(instant()), option::of(revocation()))
}

fn waiver() -> impl Strategy<Value = Waiver> {
    (own(), plan_id(), option::of(text())).prop_map(|(own, plan, internal_notes)| Waiver {
        id: own.0,
        plan,
        reason: own.1,
        granted_by: own.2,
        granted_at: own.3,
        expires_at: own.4,
        internal_notes,
        revoked: own.5,
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    (own(), plan_id()).prop_map(|(own, plan)| Grant {
        id: own.0,
        plan,
        reason: own.1,
        granted_by: own.2,
        granted_at: own.3,
        expires_at: own.4,
        revoked: own.5,
    })
}

fn boost() -> impl Strategy<Value = BoostGrant> {
    (own(), option::of(member_id()), any::<u32>()).prop_map(|(own, member, count)| BoostGrant {
        id: own.0,
        member,
        count,
        reason: own.1,
        granted_by: own.2,
        granted_at: own.3,
        expires_at: own.4,
        revoked: own.5,
    })
}

fn feature_override() -> impl Strategy<Value = Override> {
    let effects = prop_oneof![
        Just(OverrideEffect::On),
        Just(OverrideEffect::Off),
        option::of(any::<u64>()).prop_map(OverrideEffect::Limit),
    ];
    (own(), plan_id(), effects).prop_map(|(own, feature, effect)| Override {
        id: own.0,
        feature: FeatureKey::parse(feature.as_str()).unwrap(),
        effect,
        reason: own.1,
        granted_by: own.2,
        granted_at: own.3,
        expires_at: own.4,
        revoked: own.5,
    })
}

/// Changes of every kind, as they may come for one account; at most one waiver is active.
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
    let ours = (
        option::of(waiver()),
        vec(grant(), 0..3),
        vec(boost(), 0..3),
        vec(feature_override(), 0..3),
        vec(text(), 0..3),
    );
    (stripe, ours).prop_map(|(stripe, ours)| {
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
        all.extend(ours.0.into_iter().map(Change::SaveWaiver));
        all.extend(ours.1.into_iter().map(Change::SaveGrant));
        all.extend(ours.2.into_iter().map(Change::SaveBoost));
        all.extend(ours.3.into_iter().map(Change::SaveOverride));
        all.extend(ours.4.into_iter().map(Change::Note));
        all
    })
}

/// The facts that changes lead to, with lists in the order in which the store hands them out.
pub(crate) fn facts(account: &AccountId, changes: &[Change]) -> Facts {
    let mut facts = Facts::unknown(account.clone());
    for change in changes {
        facts.apply(change);
    }
    facts.revision = 1;
    facts.waivers.sort_by_key(|one| (one.granted_at, one.id.clone()));
    facts.grants.sort_by_key(|one| (one.granted_at, one.id.clone()));
    facts.boosts.sort_by_key(|one| (one.granted_at, one.id.clone()));
    facts.overrides.sort_by_key(|one| (one.granted_at, one.id.clone()));
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
