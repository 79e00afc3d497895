//! Time passing: renewals, trials, retries, and that it does not matter in how many steps.

use super::subscriptions::{
    ELITE, FAILS, GOOD, PREMIUM, change_card, customer, fetched, item, latest_invoice, subscribed,
    updated, with_subscription,
};
use super::{START, catalog, kinds, ok, sandbox, text};
use crate::sandbox::{Card, FinalAction, Sandbox, SandboxOptions, Settings};
use crate::time::{DAY, HOUR, shifted};
use crate::version::ApiVersion;

fn status(sandbox: &mut Sandbox, id: &str) -> String {
    text(&fetched(sandbox, id), "status")
}

#[test]
fn a_renewal_moves_the_period_and_is_paid_an_hour_later() {
    let (mut sandbox, _, id) = with_subscription();
    let end = shifted(START, "month", 1);
    let from = sandbox.happenings().len();
    sandbox.advance_to(end - 1);
    assert!(kinds(&sandbox, from).is_empty());
    sandbox.advance_to(end);
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.updated", "invoice.created"]);
    let renewed = fetched(&mut sandbox, &id);
    assert_eq!(renewed["items"]["data"][0]["current_period_start"], end);
    let draft = latest_invoice(&mut sandbox, &id);
    assert_eq!((text(&draft, "status"), &draft["period_start"]), ("draft".into(), &START.into()));
    let from = sandbox.happenings().len();
    sandbox.advance_to(end + HOUR);
    assert_eq!(kinds(&sandbox, from).first(), Some(&"invoice.finalized"));
    assert_eq!(kinds(&sandbox, from).last(), Some(&"invoice.payment_succeeded"));
    assert!(sandbox.happenings()[from..].iter().all(|one| one.created() == end + HOUR));
    assert!(sandbox.happenings()[from..].iter().all(|one| one.cause.is_none()));
}

#[test]
fn periods_that_begin_on_the_31st_end_on_the_last_day_of_shorter_months() {
    let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let now = second("2027-01-31T10:00:00Z");
    let mut sandbox = Sandbox::new(SandboxOptions { now, ..SandboxOptions::default() });
    sandbox.stock(&catalog());
    let customer = customer(&mut sandbox, GOOD);
    let id = text(&subscribed(&mut sandbox, &customer, ""), "id");
    for end in ["2027-02-28T10:00:00Z", "2027-03-31T10:00:00Z", "2027-04-30T10:00:00Z"] {
        let found = fetched(&mut sandbox, &id);
        assert_eq!(found["items"]["data"][0]["current_period_end"], second(end));
        sandbox.advance_to(second(end) + HOUR);
        assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
    }
}

#[test]
fn a_failed_renewal_is_tried_by_the_plan_until_it_is_paid() {
    let (mut sandbox, customer, id) = with_subscription();
    change_card(&mut sandbox, &customer, FAILS);
    let first = shifted(START, "month", 1) + HOUR;
    let from = sandbox.happenings().len();
    sandbox.advance_to(first);
    assert_eq!(
        kinds(&sandbox, from),
        [
            "customer.subscription.updated",
            "invoice.created",
            "invoice.finalized",
            "charge.failed",
            "payment_intent.payment_failed",
            "invoice.updated",
            "invoice.payment_failed",
            "customer.subscription.updated",
            "customer.updated",
        ]
    );
    assert_eq!(status(&mut sandbox, &id), "past_due");
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["next_payment_attempt"], first + 3 * DAY);
    let from = sandbox.happenings().len();
    sandbox.advance_to(first + 3 * DAY);
    let told = kinds(&sandbox, from);
    assert_eq!(told.last(), Some(&"invoice.payment_failed"));
    assert!(!told.contains(&"customer.subscription.updated"));
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!((&invoice["attempt_count"], &invoice["attempted"]), (&2.into(), &true.into()));
    assert_eq!(invoice["next_payment_attempt"], first + 8 * DAY);
    change_card(&mut sandbox, &customer, GOOD);
    assert_eq!(status(&mut sandbox, &id), "past_due");
    sandbox.advance_to(first + 8 * DAY);
    assert_eq!(status(&mut sandbox, &id), "active");
    let owner = ok(&mut sandbox, &format!("GET /v1/customers/{customer}"), "");
    assert_eq!(owner["delinquent"], false);
}

#[test]
fn an_attempt_by_hand_does_not_change_the_plan() {
    let (mut sandbox, customer, id) = with_subscription();
    change_card(&mut sandbox, &customer, FAILS);
    let first = shifted(START, "month", 1) + HOUR;
    sandbox.advance_to(first + DAY);
    let invoice = text(&latest_invoice(&mut sandbox, &id), "id");
    let pay = super::request(&format!("POST /v1/invoices/{invoice}/pay"), "");
    assert_eq!(sandbox.call(&pay).status, 402);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["next_payment_attempt"], first + 3 * DAY);
    sandbox.advance_to(first + 3 * DAY);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["next_payment_attempt"], first + 8 * DAY);
}

fn with_final_action(final_action: FinalAction) -> (Sandbox, String) {
    let settings = Settings { final_action, ..Settings::default() };
    let mut sandbox = Sandbox::new(SandboxOptions { now: START, settings, seed: 1 });
    sandbox.stock(&catalog());
    let customer = customer(&mut sandbox, GOOD);
    let id = text(&subscribed(&mut sandbox, &customer, ""), "id");
    sandbox.set_card(&customer, Card::Declined).unwrap();
    (sandbox, id)
}

#[test]
fn after_the_last_retry_the_final_action_of_the_settings_is_taken() {
    let last = shifted(START, "month", 1) + HOUR + 15 * DAY;
    for (action, expected, invoice) in [
        (FinalAction::Cancel, "canceled", "uncollectible"),
        (FinalAction::Unpaid, "unpaid", "open"),
        (FinalAction::PastDue, "past_due", "open"),
        (FinalAction::Pause, "paused", "open"),
    ] {
        let (mut sandbox, id) = with_final_action(action);
        sandbox.advance_to(last - 1);
        assert_eq!(status(&mut sandbox, &id), "past_due");
        let from = sandbox.happenings().len();
        sandbox.advance_to(last);
        assert_eq!(status(&mut sandbox, &id), expected);
        let newest = latest_invoice(&mut sandbox, &id);
        assert_eq!(text(&newest, "status"), invoice);
        assert!(newest["next_payment_attempt"].is_null());
        let told = kinds(&sandbox, from);
        assert_eq!(told.contains(&"customer.subscription.deleted"), action == FinalAction::Cancel);
        assert_eq!(told.contains(&"customer.subscription.paused"), action == FinalAction::Pause);
    }
}

#[test]
fn an_unpaid_subscription_drafts_invoices_and_collects_none() {
    let (mut sandbox, id) = with_final_action(FinalAction::Unpaid);
    sandbox.advance_to(shifted(START, "month", 2) + DAY);
    let draft = latest_invoice(&mut sandbox, &id);
    assert_eq!((text(&draft, "status"), &draft["auto_advance"]), ("draft".into(), &false.into()));
    assert_eq!(status(&mut sandbox, &id), "unpaid");
}

#[test]
fn a_trial_costs_nothing_is_announced_and_becomes_a_paid_period() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let from = sandbox.happenings().len();
    let trial = subscribed(&mut sandbox, &customer, "&trial_period_days=7");
    let (id, end) = (text(&trial, "id"), START + 7 * DAY);
    assert_eq!((text(&trial, "status"), &trial["trial_end"]), ("trialing".into(), &end.into()));
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!((text(&invoice, "status"), &invoice["total"]), ("paid".into(), &0.into()));
    assert!(!kinds(&sandbox, from).contains(&"customer.subscription.trial_will_end"));
    let from = sandbox.happenings().len();
    sandbox.advance_to(end - 1);
    assert_eq!(kinds(&sandbox, from), ["customer.subscription.trial_will_end"]);
    assert_eq!(sandbox.happenings()[from].created(), end - 3 * DAY);
    sandbox.advance_to(end);
    assert_eq!(status(&mut sandbox, &id), "active");
    assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "draft");
    sandbox.advance_to(end + HOUR);
    let paid = latest_invoice(&mut sandbox, &id);
    assert_eq!(text(&paid, "status"), "paid");
    assert!(paid["amount_paid"].as_i64().unwrap() > 0);
    let found = fetched(&mut sandbox, &id);
    assert_eq!(found["items"]["data"][0]["current_period_end"], shifted(end, "month", 1));
}

#[test]
fn a_short_trial_is_announced_at_its_beginning() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    subscribed(&mut sandbox, &customer, "&trial_period_days=1");
    let told = |sandbox: &Sandbox| {
        let kinds = kinds(sandbox, 0);
        kinds.iter().filter(|kind| **kind == "customer.subscription.trial_will_end").count()
    };
    assert_eq!(told(&sandbox), 1);
    sandbox.advance_to(START + 2 * DAY);
    assert_eq!(told(&sandbox), 1);
}

#[test]
fn a_trial_without_a_payment_method_ends_as_agreed() {
    for (agreed, expected) in
        [("pause", "paused"), ("cancel", "canceled"), ("create_invoice", "past_due")]
    {
        let mut sandbox = sandbox();
        let customer = customer(&mut sandbox, "");
        let form = format!(
            "&trial_period_days=7&trial_settings[end_behavior][missing_payment_method]={agreed}"
        );
        let id = text(&subscribed(&mut sandbox, &customer, &form), "id");
        let mut early = sandbox.clone();
        sandbox.advance_to(START + 7 * DAY + HOUR);
        assert_eq!(status(&mut sandbox, &id), expected, "{agreed}");
        let ended = updated(&mut early, &id, "trial_end=now");
        assert_eq!(text(&ended, "status"), expected, "{agreed}, ended early");
    }
}

#[test]
fn a_trial_that_is_ended_now_is_billed_now() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, GOOD);
    let id = text(&subscribed(&mut sandbox, &customer, "&trial_period_days=14"), "id");
    sandbox.advance_to(START + DAY);
    let active = updated(&mut sandbox, &id, "trial_end=now");
    assert_eq!(text(&active, "status"), "active");
    assert_eq!(active["items"]["data"][0]["current_period_start"], START + DAY);
    let paid = latest_invoice(&mut sandbox, &id);
    assert!(paid["amount_paid"].as_i64().unwrap() > 0);
}

#[test]
fn while_collection_is_paused_invoices_are_void_lost_or_kept_and_then_it_goes_on() {
    for (behavior, expected) in
        [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
    {
        let (mut sandbox, _, id) = with_subscription();
        let again = shifted(START, "month", 1) + 5 * DAY;
        let form =
            format!("pause_collection[behavior]={behavior}&pause_collection[resumes_at]={again}");
        let paused = updated(&mut sandbox, &id, &form);
        assert_eq!(text(&paused, "status"), "active");
        assert_eq!(text(&paused, "pause_collection.behavior"), behavior);
        sandbox.advance_to(again - 1);
        assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), expected);
        assert_eq!(status(&mut sandbox, &id), "active");
        sandbox.advance_to(again);
        assert!(fetched(&mut sandbox, &id)["pause_collection"].is_null());
        sandbox.advance_to(shifted(START, "month", 2) + HOUR);
        assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
    }
}

#[test]
fn a_sent_invoice_waits_for_its_customer() {
    let mut sandbox = sandbox();
    let customer = customer(&mut sandbox, "");
    let form = "&collection_method=send_invoice&days_until_due=10";
    let sent = subscribed(&mut sandbox, &customer, form);
    assert_eq!(text(&sent, "status"), "active");
    let id = text(&sent, "id");
    sandbox.advance_to(START + 2 * HOUR);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(
        (text(&invoice, "status"), &invoice["due_date"]),
        ("open".into(), &(START + 10 * DAY).into())
    );
    let line = format!("POST /v1/invoices/{}/pay", text(&invoice, "id"));
    let paid = ok(&mut sandbox, &line, "paid_out_of_band=true");
    assert_eq!(text(&paid, "status"), "paid");
}

/// A busy account: several customers at all stages, made in the same way for a seed.
fn busy(seed: u64) -> Sandbox {
    let mut sandbox = Sandbox::new(SandboxOptions { seed, now: START, ..Default::default() });
    sandbox.stock(&catalog());
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..rng.usize(2..6) {
        let method = ["", GOOD, GOOD, FAILS][rng.usize(0..4)];
        let trial = method.is_empty() || rng.bool();
        let days = rng.u32(1..20);
        let owner = customer(&mut sandbox, method);
        let ending = ["pause", "cancel", "create_invoice"][rng.usize(0..3)];
        let form = format!(
            "&trial_period_days={days}\
             &trial_settings[end_behavior][missing_payment_method]={ending}"
        );
        let made = subscribed(&mut sandbox, &owner, if trial { form.as_str() } else { "" });
        let id = text(&made, "id");
        if text(&made, "status") == "incomplete" {
            continue;
        }
        match rng.u32(0..6) {
            0 => drop(updated(&mut sandbox, &id, "cancel_at_period_end=true")),
            1 => {
                let form = format!("items[0][id]={}&items[0][price]={ELITE}", item(&made));
                updated(&mut sandbox, &id, &form);
            }
            2 => {
                let form = format!("from_subscription={id}");
                let made = ok(&mut sandbox, "POST /v1/subscription_schedules", &form);
                let (start, end) = (
                    made["phases"][0]["start_date"].as_i64().unwrap(),
                    made["phases"][0]["end_date"].as_i64().unwrap(),
                );
                let form = format!(
                    "phases[0][items][0][price]={PREMIUM}&phases[0][start_date]={start}\
                     &phases[0][end_date]={end}&phases[1][items][0][price]={ELITE}\
                     &phases[1][proration_behavior]=none"
                );
                let line = format!("POST /v1/subscription_schedules/{}", text(&made, "id"));
                ok(&mut sandbox, &line, &form);
            }
            3 => sandbox.set_card(&owner, Card::Declined).unwrap(),
            4 => drop(updated(
                &mut sandbox,
                &id,
                &format!("cancel_at={}", START + i64::from(rng.u32(1..90)) * DAY),
            )),
            _ => {}
        }
    }
    sandbox
}

#[test]
fn one_step_through_time_equals_many_small_ones() {
    for seed in 0..40 {
        let (mut one, mut many) = (busy(seed), busy(seed));
        assert_eq!(one.happenings(), many.happenings(), "seed {seed}: the same calls differ");
        let end = START + 130 * DAY;
        one.advance_to(end);
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xA5A5);
        while many.now() < end {
            let step = if rng.bool() { rng.i64(1..DAY) } else { rng.i64(1..20 * DAY) };
            many.advance_to((many.now() + step).min(end));
        }
        assert_eq!(one.truth(), many.truth(), "seed {seed}");
        assert_eq!(one.happenings(), many.happenings(), "seed {seed}");
        let (last, same) = (one.happenings().last().unwrap(), many.happenings().last().unwrap());
        assert_eq!(last.render(ApiVersion::Basil), same.render(ApiVersion::Basil), "seed {seed}");
        assert!(one.next_due().is_none_or(|due| due > end), "seed {seed}: something is overdue");
        let times: Vec<i64> = one.happenings().iter().map(crate::Happening::created).collect();
        assert!(times.is_sorted(), "seed {seed}: events out of order");
        // Going back changes nothing.
        let before = one.happenings().len();
        one.advance_to(START);
        assert_eq!((one.happenings().len(), one.now()), (before, end), "seed {seed}");
    }
}

#[test]
fn a_story_that_is_adopted_goes_on_as_it_began() {
    let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
    let at = tollgate_domain::Timestamp::from_unix_seconds(START);
    let options = crate::ScenarioOptions::new(account, at);
    let story = |name: &str| {
        let story = crate::Scenario::find(name).unwrap();
        let mut sandbox = sandbox();
        sandbox.adopt(story.happenings(&catalog(), &options).unwrap());
        let list = ok(&mut sandbox, "GET /v1/subscriptions", "status=all");
        (sandbox, text(&list, "data.0.id"))
    };
    let (mut failing, id) = story("dunning");
    for (days, attempts, expected) in
        [(3, 2, "past_due"), (8, 3, "past_due"), (15, 4, "canceled"), (90, 4, "canceled")]
    {
        failing.advance_to(START + days * DAY);
        assert_eq!(status(&mut failing, &id), expected, "after {days} days");
        assert_eq!(latest_invoice(&mut failing, &id)["attempt_count"], attempts);
    }
    let (mut paid, id) = story("dunning_recovered");
    let first = text(&latest_invoice(&mut paid, &id), "id");
    paid.advance_to(START + 60 * DAY);
    assert_eq!(status(&mut paid, &id), "active");
    let newest = latest_invoice(&mut paid, &id);
    assert_eq!(text(&newest, "status"), "paid");
    assert_ne!(text(&newest, "id"), first);
    let (mut ending, id) = story("cancel_at_period_end");
    ending.advance_to(START + 40 * DAY);
    assert_eq!(status(&mut ending, &id), "canceled");
    let (mut trying, id) = story("trial");
    trying.advance_to(START + 40 * DAY);
    assert_eq!(status(&mut trying, &id), "active");
}

#[test]
fn what_is_told_of_an_unknown_customer_stands_still() {
    let account = tollgate_domain::ids::AccountId::parse("acme").unwrap();
    let at = tollgate_domain::Timestamp::from_unix_seconds(START);
    let options = crate::ScenarioOptions::new(account, at);
    let mut story =
        crate::Scenario::find("dunning").unwrap().happenings(&catalog(), &options).unwrap();
    story.retain(|one| !["customer.created", "customer.updated"].contains(&one.kind()));
    let told = story.len();
    let mut sandbox = sandbox();
    sandbox.adopt(story);
    assert_eq!(sandbox.next_due(), None);
    sandbox.advance_to(START + 90 * DAY);
    assert_eq!(sandbox.happenings().len(), told);
}
