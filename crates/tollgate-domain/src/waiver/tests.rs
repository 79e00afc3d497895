//! Tests of `waiver`.

use super::*;
use crate::catalog::builtin;
use crate::change::Actor;
use crate::ids::AccountId;

fn noon() -> Timestamp {
    Timestamp::parse("2026-11-21T12:00:00Z").unwrap()
}

fn id(text: &str) -> FactId {
    FactId::parse(text).unwrap()
}

fn asked(name: &str) -> NewWaiver {
    NewWaiver {
        id: id(name),
        plan: None,
        reason: "  partner of the house ".to_owned(),
        granted_by: "paul".to_owned(),
        expires_at: Some(noon().plus_days(7)),
        internal_notes: None,
    }
}

fn sietch() -> Catalog {
    builtin("sietch").unwrap()
}

fn nobody() -> Facts {
    Facts::unknown(AccountId::parse("acme").unwrap())
}

fn applied(mut facts: Facts, decision: &Decision) -> Facts {
    for change in &decision.changes {
        facts.apply(change);
    }
    facts
}

#[test]
fn a_waiver_gives_the_highest_plan_and_creates_the_account() {
    let decision = grant(&nobody(), asked("wv_1"), &sietch(), noon()).unwrap();
    let facts = applied(nobody(), &decision);
    assert!(facts.known);
    assert_eq!(facts.waivers[0].plan.as_str(), "enterprise");
    assert_eq!(facts.waivers[0].reason, "partner of the house");
    assert_eq!(active(&facts, noon()).map(|waiver| waiver.id.as_str()), Some("wv_1"));
    let kinds: Vec<_> = decision.billing().map(|event| event.kind).collect();
    assert_eq!(kinds, [BillingEventKind::AccountCreated, BillingEventKind::WaiverGranted]);
    let last = decision.journal.last().unwrap();
    assert_eq!((last.kind, &last.actor), ("waiver.granted", &Actor::Person("paul".to_owned())));
}

#[test]
fn unacceptable_terms_are_refused() {
    let now = noon();
    let reason = |text: String| NewWaiver { reason: text, ..asked("wv_1") };
    let long = "x".repeat(501);
    let cases = [
        (reason("too short".to_owned()), TermsRefusal::Reason { chars: 9 }),
        (reason(format!("  {}  ", "y".repeat(9))), TermsRefusal::Reason { chars: 9 }),
        (reason(long), TermsRefusal::Reason { chars: 501 }),
        (
            NewWaiver { internal_notes: Some("n".repeat(1001)), ..asked("wv_1") },
            TermsRefusal::Notes { chars: 1001 },
        ),
        (
            NewWaiver { granted_by: " ".to_owned(), ..asked("wv_1") },
            TermsRefusal::Actor { chars: 0 },
        ),
        (
            NewWaiver { expires_at: Some(now), ..asked("wv_1") },
            TermsRefusal::Expiry { expires_at: now, now },
        ),
    ];
    for (new, refusal) in cases {
        assert_eq!(grant(&nobody(), new, &sietch(), now), Err(refusal.into()));
    }
    for good in ["é".repeat(10), "x".repeat(500)] {
        assert!(grant(&nobody(), reason(good), &sietch(), now).is_ok());
    }
    let plan = Some(PlanId::parse("imaginary").unwrap());
    let refused = grant(&nobody(), NewWaiver { plan, ..asked("wv_1") }, &sietch(), now);
    assert_eq!(refused, Err(WaiverRefusal::PlanUnknown { plan: "imaginary".to_owned() }));
}

#[test]
fn at_most_one_waiver_is_in_force() {
    let facts = applied(nobody(), &grant(&nobody(), asked("wv_1"), &sietch(), noon()).unwrap());
    let second =
        |now| grant(&facts, NewWaiver { expires_at: None, ..asked("wv_2") }, &sietch(), now);
    assert_eq!(second(noon()), Err(WaiverRefusal::AlreadyActive { id: id("wv_1") }));
    let end = noon().plus_days(7);
    assert!(second(end.plus_ms(-1)).is_err());
    assert!(second(end).is_ok(), "the first ended at that instant");
    let same = grant(&facts, asked("wv_1"), &sietch(), noon());
    assert_eq!(same, Err(TermsRefusal::IdTaken { id: "wv_1".to_owned() }.into()));
}

#[test]
fn a_waiver_is_taken_back_once_and_stays_on_record() {
    let facts = applied(nobody(), &grant(&nobody(), asked("wv_1"), &sietch(), noon()).unwrap());
    let later = noon().plus_hours(1);
    let decision = revoke(&facts, &id("wv_1"), "jessica", Some(" "), later).unwrap();
    let facts = applied(facts, &decision);
    let revoked = facts.waivers[0].revoked.as_ref().unwrap();
    assert_eq!((revoked.by.as_str(), revoked.at, &revoked.reason), ("jessica", later, &None));
    assert_eq!(active(&facts, later), None);
    assert_eq!(facts.waivers.len(), 1);
    let again = revoke(&facts, &id("wv_1"), "jessica", None, later.plus_hours(1));
    assert_eq!(again, Err(RevokeRefusal::AlreadyRevoked { id: "wv_1".to_owned(), at: later }));
    let other = revoke(&facts, &id("wv_9"), "jessica", None, later);
    assert_eq!(other, Err(RevokeRefusal::NotFound { id: "wv_9".to_owned() }));
    let tell = expired(&facts, &id("wv_1"), noon().plus_days(9));
    assert_eq!(tell, None, "what was taken back does not expire");
}

#[test]
fn an_end_is_told_once_at_its_instant() {
    let facts = applied(nobody(), &grant(&nobody(), asked("wv_1"), &sietch(), noon()).unwrap());
    let end = noon().plus_days(7);
    assert_eq!(expired(&facts, &id("wv_1"), end.plus_ms(-1)), None);
    let decision = expired(&facts, &id("wv_1"), end.plus_days(3)).unwrap();
    assert_eq!(decision.journal[0].occurred_at, end, "however late it is told");
    assert_eq!(decision.billing().next().unwrap().kind, BillingEventKind::WaiverExpired);
    let facts = applied(facts, &decision);
    assert_eq!(expired(&facts, &id("wv_1"), end.plus_days(4)), None);
    let late = revoke(&facts, &id("wv_1"), "jessica", None, end);
    assert_eq!(late, Err(RevokeRefusal::AlreadyEnded { id: "wv_1".to_owned(), at: end }));
}
