//! The fold. Owns: that events and what people did run again in the order in which they came, each at
//! its time, through the functions that ran then. Must not know: what is compared.

use std::collections::VecDeque;
use std::convert::Infallible;

use tollgate_domain::change::Change;
use tollgate_domain::ids::AccountId;
use tollgate_domain::operator_fact::{self, GrantRefusal, NewOperatorFact, OperatorFact};
use tollgate_domain::regrade::{self, Terms};
use tollgate_domain::{Decision, Timestamp};
use tollgate_store::inbox::{self, EventRow, EventStatus, StoredBody};
use tollgate_store::{Db, StoreError};

use super::acts::{Act, What};
use super::{PAGE_EVENTS, RebuildError, Report, Troubles};
use crate::app::App;
use crate::intake::{Delivery, read, squeeze};
use crate::relink::{Order, RelinkError};
use crate::unit_of_work::CommandError;
use crate::workers::retry;

/// Events are taken in together that were received within this time.
const TOGETHER_MS: i64 = 60_000;

/// Folds everything into the engine's database, which is empty, and ends at the present.
pub(super) async fn fold(
    app: &App,
    copy: &Db,
    acts: VecDeque<Act>,
    now: Timestamp,
    report: &mut Report,
) -> Result<Troubles, RebuildError> {
    let mut fold = Fold { app, copy, acts, report, troubles: Troubles::default() };
    fold.events().await?;
    fold.acts_before(Timestamp::MAX).await?;
    fold.at(now);
    fold.settle().await?;
    Ok(fold.troubles)
}

struct Fold<'a> {
    app: &'a App,
    copy: &'a Db,
    acts: VecDeque<Act>,
    report: &'a mut Report,
    troubles: Troubles,
}

impl Fold<'_> {
    fn at(&self, at: Timestamp) {
        self.app.clock.set(at);
    }

    async fn events(&mut self) -> Result<(), RebuildError> {
        let mut last = None;
        loop {
            let place = last.as_ref().map(|(at, key)| (*at, key));
            let page = inbox::received_after(self.copy, place, PAGE_EVENTS).await?;
            let Some((end, _)) = page.last() else { return Ok(()) };
            last = Some((end.received_at, end.key.clone()));
            let mut together: Vec<Delivery> = Vec::new();
            for (row, body) in page {
                let at = row.received_at;
                let act_first = self.acts.front().is_some_and(|act| act.at < at);
                let later = together
                    .first()
                    .is_some_and(|first| first.received_at.plus_ms(TOGETHER_MS) < at);
                if act_first || later {
                    self.take(&mut together).await?;
                    self.acts_before(at).await?;
                }
                together.push(self.delivery(row, &body).await?);
            }
            self.take(&mut together).await?;
        }
    }

    /// Takes events in, with what they wake.
    async fn take(&mut self, together: &mut Vec<Delivery>) -> Result<(), RebuildError> {
        let Some(last) = together.last() else { return Ok(()) };
        self.at(last.received_at);
        let replies = self.app.intake.process(together).await;
        for (delivery, reply) in together.drain(..).zip(replies) {
            if reply.is_none() {
                return Err(RebuildError::NotCommitted(delivery.key.event.to_string()));
            }
            self.report.events = self.report.events.saturating_add(1);
        }
        self.settle().await
    }

    /// Works on everything that is due.
    async fn settle(&self) -> Result<(), RebuildError> {
        while retry::round(self.app).await? > 0 {}
        Ok(())
    }

    async fn delivery(
        &mut self,
        row: EventRow,
        body: &StoredBody<'_>,
    ) -> Result<Delivery, RebuildError> {
        let status = row.outcome.status;
        if !status.is_final() && status != EventStatus::Dead {
            self.report.open_events = self.report.open_events.saturating_add(1);
        }
        let raw = squeeze::restore(self.copy, body).await;
        let raw =
            raw.map_err(|cause| RebuildError::Body { event: row.key.event.to_string(), cause })?;
        let content = read::read_stored(&row.key.event, &raw, &self.app.config.stripe);
        Ok(Delivery::of_row(row, squeeze::squeeze(&raw), content))
    }

    /// Does what people did before an instant.
    async fn acts_before(&mut self, at: Timestamp) -> Result<(), RebuildError> {
        while self.acts.front().is_some_and(|act| act.at < at) {
            let Some(act) = self.acts.pop_front() else { break };
            self.at(act.at);
            if let Some(why) = self.act(&act.account, act.what).await? {
                self.troubles.refused.push((act.account, why));
            }
            self.report.acts = self.report.acts.saturating_add(1);
            self.settle().await?;
        }
        Ok(())
    }

    /// Does one thing again. Returns why that is not possible, where it is not.
    async fn act(&mut self, account: &AccountId, what: What) -> Result<Option<String>, StoreError> {
        let intake = &self.app.intake;
        match what {
            What::Grant(fact) => self.grant(account, *fact).await,
            What::Revoke(id, revocation) => {
                let done = intake.change(account, |facts, _, now| {
                    let reason = revocation.reason.as_deref();
                    operator_fact::revoke(facts, &id, &revocation.by, reason, now)
                });
                refusal(done.await.map(|_| ()), |why| format!("{id} cannot be taken back: {why}"))
            }
            What::Email { email, by } => {
                intake.set_email(account, email.as_deref(), &by).await.map(|_| None)
            }
            What::Relink { object, by, reason } => {
                let order = Order { object, to: account.clone(), reason, by };
                match intake.relink(&order).await {
                    Ok(_) => Ok(None),
                    Err(RelinkError::Store(error)) => Err(error),
                    Err(why) => Ok(Some(format!("{} cannot be linked: {why}", order.object))),
                }
            }
            What::Regrade { by, reason, take_back } => {
                let terms = Terms { by: &by, reason: &reason, take_back };
                let all = tollgate_domain::facts::Window::ALL;
                let done = intake.change_by(account, all, |facts, catalog, now| {
                    regrade::regrade(facts, catalog, terms, now).map(|found| found.decision)
                });
                refusal(done.await.map(|_| ()), |why| format!("sales: {why}"))
            }
        }
    }

    /// Gives an operator fact again. One that today's catalog does not know is taken as it is.
    async fn grant(
        &mut self,
        account: &AccountId,
        fact: OperatorFact,
    ) -> Result<Option<String>, StoreError> {
        let intake = &self.app.intake;
        let done = intake.change(account, |facts, catalog, now| {
            let terms = fact.terms.clone();
            let new = NewOperatorFact {
                id: fact.id.clone(),
                effect: fact.effect.clone(),
                reason: terms.reason,
                granted_by: terms.granted_by,
                expires_at: terms.expires_at,
                internal_notes: terms.internal_notes,
            };
            operator_fact::grant(facts, new, catalog, now)
        });
        match done.await {
            Ok(_) => Ok(None),
            Err(CommandError::Store(error)) => Err(error),
            Err(CommandError::Refused(
                GrantRefusal::PlanUnknown { .. }
                | GrantRefusal::FeatureUnknown { .. }
                | GrantRefusal::NoLimit { .. },
            )) => {
                self.troubles.as_they_are.insert(fact.id.clone());
                let done = intake.change(account, |facts, _, _| {
                    let begins = (!facts.known).then_some(Change::CreateAccount);
                    let saves = Change::SaveOperatorFact(fact.clone());
                    let changes = begins.into_iter().chain([saves]).collect();
                    Ok::<_, Infallible>(Decision { changes, ..Decision::default() })
                });
                refusal(done.await.map(|_| ()), |why| why.to_string())
            }
            Err(CommandError::Refused(why)) => {
                Ok(Some(format!("{} cannot be given: {why}", fact.id)))
            }
        }
    }
}

/// What the rules refuse, in words.
fn refusal<E>(
    done: Result<(), CommandError<E>>,
    told: impl FnOnce(E) -> String,
) -> Result<Option<String>, StoreError> {
    match done {
        Ok(()) => Ok(None),
        Err(CommandError::Refused(why)) => Ok(Some(told(why))),
        Err(CommandError::Store(error)) => Err(error),
    }
}
