//! Checkouts, refunds and disputes: when something is sold, and when it is taken back.

use super::*;

#[test]
fn a_completed_checkout_grants_nothing_until_it_is_paid() {
    let unpaid = Cs { paid: false, ..badge() };
    let waiting = Story::of("51").session(E::CheckoutCompleted, &unpaid);
    assert_eq!(told(&waiting).acme().purchases["cs_1"].paid_at, None);
    assert_eq!(told(&waiting).told(B::BadgePurchased), 0);

    let paid = waiting.clone().later(9).session(E::CheckoutAsyncSucceeded, &badge());
    for world in [told(&paid), backwards(&paid)] {
        assert_eq!(world.told(B::BadgePurchased), 1);
        let paid_at = world.acme().purchases["cs_1"].paid_at;
        assert_eq!(paid_at, Some(Timestamp::from_unix_seconds(START + 10)), "when the money came");
    }

    let failed = waiting.session(E::CheckoutAsyncFailed, &unpaid);
    assert_eq!(
        (told(&failed).told(B::BadgePurchased), told(&failed).told(B::PaymentFailed)),
        (0, 1)
    );
}

#[test]
fn a_checkout_that_is_not_complete_has_sold_nothing_though_it_needs_no_payment() {
    for status in [SessionStatus::Open, SessionStatus::Expired] {
        let story = Story::of("51").session(E::CheckoutExpired, &Cs { status, ..badge() });
        assert_eq!(told(&story).acme().purchases["cs_1"].paid_at, None);
    }
}

#[test]
fn a_checkout_alone_may_name_the_owner_of_all_it_started() {
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_1", "sub_1", "subscription_create") };
    let story = Story::of("52")
        .member("chani")
        .sub(E::SubscriptionCreated, &active())
        .invoice(E::InvoicePaid, &paid)
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .claimed_once(2);
    for world in [told(&story), backwards(&story)] {
        assert!(world.waiting.is_empty());
        let facts = world.acme();
        let buyer = facts.buyer(&facts.subscriptions["sub_1"]);
        assert_eq!(buyer.map(MemberId::as_str), Some("chani"));
        assert_eq!(world.told(B::PaymentSucceeded), 1);
    }
}

#[test]
fn a_claim_against_a_stored_link_loses_and_is_reported() {
    let mut story = Story::of("53")
        .sub(E::SubscriptionCreated, &active())
        .sub(E::SubscriptionUpdated, &active());
    story.events[1].claim.as_mut().unwrap().account = AccountId::parse("thief").unwrap();
    let world = told(&story);
    assert_eq!(world.facts.len(), 1, "the other account learns nothing");
    assert_eq!(world.acme().subscriptions["sub_1"].history.len(), 2);
    assert_eq!(world.journal["owner.contradicted"], 1);
    let decision = last_decision(&story);
    assert_eq!(decision.journal[0].kind, "owner.contradicted");
    assert_eq!(
        decision.journal[0].details,
        [("claimed", "thief".to_owned()), ("linked", "acme".to_owned())]
    );
}

const PAYMENT: (&str, &str) = ("pi_1", "ch_1");

fn refund(story: Story, kind: EventKind, id: &'static str, amount: i64, status: &str) -> Story {
    story.adjustment(kind, (id, AdjustmentKind::Refund), PAYMENT, amount, status)
}

fn charge(story: Story, amount: i64, status: &str) -> Story {
    let total = ("ch_1", AdjustmentKind::ChargeRefunds);
    story.adjustment(E::ChargeRefunded, total, PAYMENT, amount, status)
}

fn undone(world: &World) -> Option<Undone> {
    let facts = world.acme();
    sale::undone(&facts.purchases["cs_1"], facts.adjustments.values())
}

#[test]
fn a_partial_refund_takes_nothing_back_and_parts_add_up() {
    let bought = Story::of("54").session(E::CheckoutCompleted, &badge());
    let part = charge(refund(bought, E::RefundCreated, "re_1", 200, "succeeded"), 200, "partial");
    assert_eq!(undone(&told(&part)), None);
    assert_eq!((told(&part).told(B::BadgeRevoked), told(&part).told(B::PaymentRefunded)), (0, 1));

    // The same refund told again is the same refund.
    let twice = refund(part.clone(), E::RefundUpdated, "re_1", 200, "succeeded");
    assert_eq!((undone(&told(&twice)), told(&twice).told(B::PaymentRefunded)), (None, 1));

    let rest = refund(part, E::RefundCreated, "re_2", 299, "succeeded");
    for world in [told(&rest), backwards(&rest)] {
        assert_eq!(undone(&world), Some(Undone::Refunded));
        assert_eq!((world.told(B::BadgeRevoked), world.told(B::PaymentRefunded)), (1, 2));
    }
}

#[test]
fn a_refund_that_failed_gives_the_purchase_back() {
    let bought = Story::of("54").session(E::CheckoutCompleted, &badge());
    let full = charge(refund(bought, E::RefundCreated, "re_1", 499, "succeeded"), 499, "full");
    assert_eq!(undone(&told(&full)), Some(Undone::Refunded));
    let failed = refund(full, E::RefundFailed, "re_1", 499, "failed");
    for world in [told(&failed), backwards(&failed)] {
        assert_eq!(undone(&world), None);
        assert_eq!(world.told(B::BadgeRevoked), 1, "that it was revoked stays told, once");
    }
}

#[test]
fn lines_that_sell_nothing_after_a_refund_tell_of_no_second_revocation() {
    let other = Cs { lines: vec![("price_of_another", 1)], ..badge() };
    let bought = || Story::of("54").session(E::CheckoutCompleted, &badge());
    let given_back = |story| refund(story, E::RefundCreated, "re_1", 499, "succeeded");
    let refund_first = given_back(bought()).session(E::CheckoutAsyncSucceeded, &other);
    let lines_first = given_back(bought().session(E::CheckoutAsyncSucceeded, &other));
    for story in [refund_first, lines_first] {
        let world = told(&story);
        assert_eq!((world.told(B::BadgePurchased), world.told(B::BadgeRevoked)), (1, 1));
        assert_eq!(world.acme().purchases["cs_1"].sales, []);
    }
}

#[test]
fn only_a_lost_dispute_takes_back() {
    let dispute = ("dp_1", AdjustmentKind::Dispute);
    for (end, expected) in
        [("lost", Some(Undone::DisputeLost)), ("won", None), ("warning_closed", None)]
    {
        let story = Story::of("55")
            .session(E::CheckoutCompleted, &badge())
            .adjustment(E::DisputeCreated, dispute, PAYMENT, 499, "needs_response")
            .adjustment(E::DisputeClosed, dispute, PAYMENT, 499, end);
        let open = World::after(&story.events[..2], &catalog());
        assert_eq!(undone(&open), None, "an open dispute takes nothing back");
        let world = told(&story);
        assert_eq!(undone(&world), expected);
        assert_eq!(world.told(B::BadgeRevoked), usize::from(end == "lost"));
        assert_eq!(world.told(B::PaymentDisputed), 1);
    }
}

#[test]
fn a_checkout_that_expired_and_completed_is_complete() {
    let expired = Cs { status: SessionStatus::Expired, paid: false, ..badge() };
    let story = Story::of("68")
        .session(E::CheckoutCompleted, &badge())
        .session(E::CheckoutExpired, &expired);
    for world in [told(&story), backwards(&story)] {
        let purchase = &world.acme().purchases["cs_1"];
        assert_eq!(purchase.status, SessionStatus::Complete);
        assert_eq!(world.told(B::BadgePurchased), 1);
    }
}

#[test]
fn what_a_later_catalog_recorded_is_not_told_again_by_an_event() {
    let sold = Cs { lines: vec![("price_badge", 1)], ..badge() };
    let story = Story::of("69").session(E::CheckoutCompleted, &sold);
    let unmapped = tollgate_domain::catalog::builtin("sietch").unwrap();
    let mut world = World::after(&story.events, &unmapped);
    assert_eq!(world.told(B::BadgePurchased), 0);
    let facts = world.facts.get_mut("acme").unwrap();
    let recorded = tollgate_domain::regrade::settle(facts, &catalog(), Timestamp::MAX).unwrap();
    let kinds: Vec<B> = recorded.billing().map(|told| told.kind).collect();
    assert_eq!(kinds, [B::BadgePurchased]);
    for change in &recorded.changes {
        facts.apply(change);
    }
    world.deliver(&story.twins()[0], &catalog());
    assert_eq!(world.told(B::BadgePurchased), 0);
}
