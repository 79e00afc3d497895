//! Stories of one account at Stripe, told as observations. Owns: building them briefly; each
//! story is written in the order Stripe made its events.

use tollgate_domain::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, InvoiceId, MemberId, ObjectId, PriceId,
    SessionId, SubscriptionId,
};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::observation::{
    SeenAdjustment, SeenCustomer, SeenInvoice, SeenInvoicePayment, SeenSchedule, SeenSession,
    SeenSubscription,
};
use tollgate_domain::payment::{AdjustmentKind, InvoiceState, InvoiceStatus};
use tollgate_domain::subscription::{
    LifecycleRank, Phase, PlannedItem, SubscriptionState, Version,
};
use tollgate_domain::{EventKind, FetchCause, Observation, OwnerClaim, Seen, Timestamp};

mod objects;

pub(crate) use objects::{Cs, Inv, Sub};
use objects::{line, previous};

/// Noon of 2026-11-01, the start of every story.
pub(crate) const START: i64 = 1_793_534_400;

pub(crate) fn cents(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::parse("usd").unwrap() }
}

/// A story in the making.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) events: Vec<Observation>,
    claim: OwnerClaim,
    customer: CustomerId,
    last: Vec<(&'static str, SubscriptionState)>,
    clock: i64,
}

impl Story {
    pub(crate) fn of(name: &'static str) -> Self {
        Self {
            name,
            events: Vec::new(),
            claim: OwnerClaim {
                account: AccountId::parse("acme").unwrap(),
                member: None,
                edited: false,
            },
            customer: CustomerId::parse("cus_acme").unwrap(),
            last: Vec::new(),
            clock: START,
        }
    }

    pub(crate) fn member(mut self, member: &str) -> Self {
        self.claim.member = Some(MemberId::parse(member).unwrap());
        self.customer = CustomerId::parse("cus_member").unwrap();
        self
    }

    /// The next events happen so many seconds later.
    pub(crate) fn later(mut self, seconds: i64) -> Self {
        self.clock += seconds;
        self
    }

    /// The next event happens so many seconds after the start.
    pub(crate) fn at(mut self, seconds: i64) -> Self {
        self.clock = START + seconds;
        self
    }

    fn tell(
        mut self,
        kind: EventKind,
        object: &str,
        others: &[&str],
        seen: impl FnOnce(&EventId, Timestamp) -> Seen,
    ) -> Self {
        // Ids that sort unlike the story's order: nothing may lean on them.
        let number = (self.events.len() * 7919 + 13) % 1009;
        let event = EventId::parse(&format!("evt_{number:04}")).unwrap();
        let at = Timestamp::from_unix_seconds(self.clock);
        let references = std::iter::once(object)
            .chain(others.iter().copied())
            .chain([self.customer.as_str()])
            .map(|id| ObjectId::parse(id).unwrap());
        let mut distinct: Vec<ObjectId> = Vec::new();
        for id in references {
            if !distinct.contains(&id) {
                distinct.push(id);
            }
        }
        self.events.push(Observation {
            seen: seen(&event, at),
            event,
            at,
            kind,
            fetched: (kind == EventKind::SubscriptionFetched).then_some(FetchCause::Doubt),
            claim: Some(self.claim.clone()),
            invalid_claim: None,
            references: distinct,
            customer: Some(self.customer.clone()),
            customer_account: None,
            email: None,
        });
        self.clock += 1;
        self
    }

    pub(crate) fn sub(mut self, kind: EventKind, sub: &Sub) -> Self {
        let rank = rank(kind);
        let before =
            self.last.iter().rev().find(|(id, _)| *id == sub.id).map(|(_, state)| state.clone());
        let updated = matches!(
            kind,
            EventKind::SubscriptionUpdated | EventKind::SubscriptionPendingUpdateApplied
        );
        let event = EventId::parse("evt_x").unwrap();
        let bare = sub.state(Version { at: Timestamp::MIN, rank, event });
        self.last.push((sub.id, bare.clone()));
        let previous = before.filter(|_| updated).and_then(|before| previous(&before, &bare));
        self.tell(kind, sub.id, &[], |event, at| {
            let state = SubscriptionState {
                version: Version { at, rank, event: event.clone() },
                previous,
                ..bare
            };
            let id = SubscriptionId::parse(sub.id).unwrap();
            Seen::Subscription(SeenSubscription { id, state, schedule: None })
        })
    }

    pub(crate) fn invoice(self, kind: EventKind, invoice: &Inv) -> Self {
        let others: Vec<&str> = invoice.subscription.into_iter().collect();
        self.tell(kind, invoice.id, &others, |event, at| {
            let paid = invoice.status == InvoiceStatus::Paid;
            Seen::Invoice(SeenInvoice {
                id: InvoiceId::parse(invoice.id).unwrap(),
                subscription: invoice.subscription.map(|id| SubscriptionId::parse(id).unwrap()),
                state: InvoiceState {
                    at,
                    event: event.clone(),
                    status: invoice.status,
                    amount_due_minor: invoice.due,
                    amount_paid_minor: if paid { invoice.due } else { 0 },
                    currency: Currency::parse("usd").unwrap(),
                    attempt_count: invoice.attempts,
                    billing_reason: Some(invoice.reason.into()),
                    collection_method: None,
                    hosted_url: None,
                    period_start: None,
                    period_end: None,
                    created: None,
                },
                lines: invoice.lines(),
                payments: Vec::new(),
            })
        })
    }

    /// A schedule by what each of its phases sells and how many months it begins after the story.
    pub(crate) fn schedule(
        self,
        kind: EventKind,
        id: &'static str,
        subscription: &str,
        phases: &[(&str, i64)],
        over: bool,
    ) -> Self {
        let phase = |(price, month): &(&str, i64)| Phase {
            start: Timestamp::from_unix_seconds(START).plus_days(30 * month),
            end: Some(Timestamp::from_unix_seconds(START).plus_days(30 * (month + 1))),
            items: vec![PlannedItem {
                price: PriceId::parse(price).unwrap(),
                lookup_key: None,
                product: None,
                interval: None,
                quantity: 1,
            }],
        };
        self.tell(kind, id, &[subscription], |_, _| {
            Seen::Schedule(SeenSchedule {
                id: ObjectId::parse(id).unwrap(),
                subscription: Some(SubscriptionId::parse(subscription).unwrap()),
                over,
                phases: phases.iter().map(phase).collect(),
                cancels: false,
            })
        })
    }

    pub(crate) fn invoice_payment(self, id: &'static str, invoice: &str, pi: &str) -> Self {
        self.tell(EventKind::InvoicePaymentPaid, id, &[pi, invoice], |_, _| {
            Seen::InvoicePayment(SeenInvoicePayment {
                invoice: InvoiceId::parse(invoice).unwrap(),
                payments: vec![ObjectId::parse(pi).unwrap()],
            })
        })
    }

    pub(crate) fn session(self, kind: EventKind, session: &Cs) -> Self {
        let others: Vec<&str> =
            session.subscription.into_iter().chain(session.payment_intent).collect();
        self.tell(kind, session.id, &others, |_, _| {
            Seen::Session(SeenSession {
                id: SessionId::parse(session.id).unwrap(),
                mode: session.mode,
                kind: session.kind.clone(),
                subscription: session.subscription.map(|id| SubscriptionId::parse(id).unwrap()),
                payment_intent: session.payment_intent.map(|id| ObjectId::parse(id).unwrap()),
                lines: session.lines.iter().enumerate().map(line).collect(),
                lines_cut: false,
                amounts: [cents(session.total)].into(),
                total: Some(cents(session.total)),
                status: session.status,
                paid: session.paid,
            })
        })
    }

    pub(crate) fn adjustment(
        self,
        kind: EventKind,
        (id, of): (&'static str, AdjustmentKind),
        (pi, charge): (&str, &str),
        amount: i64,
        status: &str,
    ) -> Self {
        self.tell(kind, id, &[pi, charge], |_, _| {
            Seen::Adjustment(SeenAdjustment {
                id: AdjustmentId::parse(id).unwrap(),
                kind: of,
                payment_intent: Some(ObjectId::parse(pi).unwrap()),
                charge: Some(ObjectId::parse(charge).unwrap()),
                amount: cents(amount),
                status: status.into(),
            })
        })
    }

    pub(crate) fn customer(self, kind: EventKind, email: Option<&str>) -> Self {
        let id = self.customer.clone();
        let object = id.to_string();
        self.tell(kind, &object, &[], |_, _| {
            Seen::Customer(SeenCustomer {
                id,
                email: email.map(Into::into),
                deleted: kind == EventKind::CustomerDeleted,
            })
        })
    }

    /// The same story with its times cut to a multiple of `seconds`, so that events tie.
    pub(crate) fn coarse(mut self, seconds: i64) -> Self {
        for event in &mut self.events {
            let at =
                Timestamp::from_unix_seconds(event.at.unix_seconds().div_euclid(seconds) * seconds);
            set_time(event, at);
        }
        self
    }

    /// The same story told from its end.
    pub(crate) fn reversed(mut self) -> Self {
        self.events.reverse();
        self
    }

    /// The same story, in which every fetched subscription covers those of the events whose bits
    /// are set.
    pub(crate) fn covering(mut self, masks: &[u8]) -> Self {
        let ids: Vec<EventId> = self.events.iter().map(|event| event.event.clone()).collect();
        for (event, mask) in self.events.iter_mut().zip(masks) {
            if event.kind == EventKind::SubscriptionFetched
                && let Seen::Subscription(seen) = &mut event.seen
            {
                let chosen = ids.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1);
                seen.state.covers = chosen.map(|(_, id)| id.clone()).collect();
            }
        }
        self
    }

    /// The same story without `previous_attributes`.
    pub(crate) fn unchained(mut self) -> Self {
        for event in &mut self.events {
            if let Seen::Subscription(seen) = &mut event.seen {
                seen.state.previous = None;
            }
        }
        self
    }

    /// The same story with the owner named by one event only.
    pub(crate) fn claimed_once(self, by: usize) -> Self {
        let claims: Vec<bool> = (0..self.events.len()).map(|index| index == by).collect();
        self.claimed_by(&claims)
    }

    /// The same story with the owner named by those events only.
    pub(crate) fn claimed_by(mut self, claims: &[bool]) -> Self {
        for (event, claims) in self.events.iter_mut().zip(claims) {
            if !claims {
                event.claim = None;
            }
        }
        self
    }

    /// What Stripe would show of an object when asked right after the event at `place`, knowing all
    /// that the story has told of it until then; `None` for objects that are never asked for.
    pub(crate) fn asked_after(&self, place: usize) -> Option<Observation> {
        let told = &self.events[..=place];
        let same = |event: &&Observation| event.references[0] == told[place].references[0];
        // An id that ended never lives again at Stripe, whatever is told of it later.
        let last = told.iter().filter(same).find(|event| is_over(event)).unwrap_or(&told[place]);
        let kind = match &last.seen {
            Seen::Customer(_) => EventKind::CustomerFetched,
            Seen::Subscription(_) => EventKind::SubscriptionFetched,
            Seen::Session(_) => EventKind::SessionFetched,
            Seen::Invoice(_) => EventKind::InvoiceFetched,
            Seen::Adjustment(seen) => match seen.kind {
                AdjustmentKind::Refund => EventKind::RefundFetched,
                AdjustmentKind::Dispute => EventKind::DisputeFetched,
                AdjustmentKind::ChargeRefunds => return None,
            },
            Seen::Schedule(_)
            | Seen::InvoicePayment(_)
            | Seen::CatalogObject(_)
            | Seen::EntitlementSummary(_) => return None,
        };
        let at = told.iter().map(|event| event.at).max().unwrap();
        let mut asked = twin(last);
        rename(&mut asked, &format!("obs_{place:03}"));
        set_time(&mut asked, at);
        (asked.kind, asked.fetched) = (kind, Some(FetchCause::Doubt));
        if let Seen::Subscription(seen) = &mut asked.seen {
            seen.state.version.rank = LifecycleRank::Fetched;
            seen.state.covers = told.iter().filter(same).map(|event| event.event.clone()).collect();
            seen.state.previous = None;
        }
        Some(asked)
    }

    /// The same story, in which Stripe was also asked after that event.
    pub(crate) fn with_asking(mut self, place: usize) -> Option<Self> {
        let asked = self.asked_after(place)?;
        self.events.insert(place + 1, asked);
        Some(self)
    }

    /// What Stripe shows of every object at the end of the story.
    pub(crate) fn asked_at_the_end(&self) -> Vec<Observation> {
        let end = self.events.iter().map(|event| event.at).max().unwrap();
        let last_of = |place: &usize| {
            let later = &self.events[place + 1..];
            later.iter().all(|event| event.references[0] != self.events[*place].references[0])
        };
        let last = (0..self.events.len()).filter(last_of);
        let mut asked: Vec<_> = last.filter_map(|place| self.asked_after(place)).collect();
        for one in &mut asked {
            set_time(one, end);
        }
        asked
    }

    /// The same events again under new ids, as two endpoints or a resend by hand make them.
    pub(crate) fn twins(&self) -> Vec<Observation> {
        self.events.iter().map(twin).collect()
    }
}

fn rank(kind: EventKind) -> LifecycleRank {
    if kind == EventKind::SubscriptionCreated {
        LifecycleRank::Created
    } else if [EventKind::SubscriptionPaused, EventKind::SubscriptionResumed].contains(&kind) {
        LifecycleRank::PausedOrResumed
    } else if kind == EventKind::SubscriptionDeleted {
        LifecycleRank::Deleted
    } else if kind == EventKind::SubscriptionFetched {
        LifecycleRank::Fetched
    } else {
        LifecycleRank::Updated
    }
}

fn is_over(event: &Observation) -> bool {
    matches!(&event.seen, Seen::Subscription(seen) if seen.state.status.is_terminal())
}

fn set_time(event: &mut Observation, at: Timestamp) {
    event.at = at;
    if let Seen::Subscription(seen) = &mut event.seen {
        seen.state.version.at = at;
    }
    if let Seen::Invoice(seen) = &mut event.seen {
        seen.state.at = at;
    }
}

fn twin(event: &Observation) -> Observation {
    let mut twin = event.clone();
    rename(&mut twin, &format!("{}b", event.event));
    twin
}

fn rename(event: &mut Observation, id: &str) {
    event.event = EventId::parse(id).unwrap();
    if let Seen::Subscription(seen) = &mut event.seen {
        seen.state.version.event = event.event.clone();
    }
    if let Seen::Invoice(seen) = &mut event.seen {
        seen.state.event = event.event.clone();
    }
}
