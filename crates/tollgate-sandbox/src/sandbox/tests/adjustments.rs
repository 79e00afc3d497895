//! Tests of refunds and disputes. Owns: nothing else. Must not know: how replies are made.

use super::super::{DisputeError, DisputeMove};
use super::*;

/// Pays 1000 by a test card; gives intent and charge.
fn paid(sandbox: &mut Sandbox, method: &str) -> (String, String) {
    let form = format!("amount=1000&currency=usd&payment_method={method}&confirm=true");
    let intent = ok(sandbox, "POST /v1/payment_intents", &form);
    (text(&intent, "id"), text(&intent, "latest_charge"))
}

fn charge(sandbox: &mut Sandbox, id: &str) -> Value {
    ok(sandbox, &format!("GET /v1/charges/{id}"), "expand[]=refunds")
}

#[test]
fn a_payment_is_refunded_in_parts_until_nothing_is_left() {
    let mut sandbox = sandbox();
    let (intent, id) = paid(&mut sandbox, "pm_card_visa");
    let from = sandbox.happenings().len();
    let form = format!("payment_intent={intent}&amount=300&reason=duplicate&metadata[a]=b");
    let refund = ok(&mut sandbox, "POST /v1/refunds", &form);
    assert_eq!((&refund["status"], &refund["charge"]), (&"succeeded".into(), &id.as_str().into()));
    assert_eq!(kinds(&sandbox, from), ["charge.refunded", "refund.created"]);
    let too_much = refused(&mut sandbox, "POST /v1/refunds", &format!("charge={id}&amount=701"));
    assert_eq!(too_much, (400, "amount_too_large/amount".to_owned()));
    assert_eq!(charge(&mut sandbox, &id)["refunded"], false);
    ok(&mut sandbox, "POST /v1/refunds", &format!("charge={id}"));
    let shown = charge(&mut sandbox, &id);
    assert_eq!((&shown["refunded"], &shown["amount_refunded"]), (&true.into(), &1000.into()));
    assert_eq!(ids(&shown["refunds"]).len(), 2);
    let again = refused(&mut sandbox, "POST /v1/refunds", &format!("charge={id}"));
    assert_eq!(again, (400, "charge_already_refunded/".to_owned()));
    let listed = ok(&mut sandbox, "GET /v1/refunds", &format!("payment_intent={intent}"));
    assert_eq!(listed["data"][1]["id"], refund["id"]);
    let listed = ok(&mut sandbox, &format!("GET /v1/charges/{id}/refunds"), "");
    assert_eq!(ids(&listed).len(), 2);
}

#[test]
fn refunds_need_something_that_was_paid() {
    let mut sandbox = sandbox();
    let intent = ok(&mut sandbox, "POST /v1/payment_intents", "amount=5&currency=usd");
    let form = format!("payment_intent={}", text(&intent, "id"));
    for (form, fault) in [
        ("", "parameter_missing/"),
        ("charge=ch_none", "resource_missing/charge"),
        (form.as_str(), "invalid_request_error/payment_intent"),
    ] {
        assert_eq!(refused(&mut sandbox, "POST /v1/refunds", form), (400, fault.to_owned()));
    }
    assert_eq!(refused(&mut sandbox, "GET /v1/refunds/re_none", "").0, 404);
}

#[test]
fn a_refund_can_fail_or_take_its_time_and_the_charge_follows() {
    let mut sandbox = sandbox();
    let (_, id) = paid(&mut sandbox, "pm_card_refundFail");
    ok(&mut sandbox, "POST /v1/refunds", &format!("charge={id}"));
    sandbox.advance_to(START + 100);
    assert_eq!(sandbox.happenings().last().unwrap().kind(), "refund.failed");
    let shown = charge(&mut sandbox, &id);
    assert_eq!(shown["refunds"]["data"][0]["status"], "failed");
    assert_eq!((&shown["refunded"], &shown["amount_refunded"]), (&false.into(), &0.into()));

    let (_, id) = paid(&mut sandbox, "pm_card_pendingRefund");
    let refund = ok(&mut sandbox, "POST /v1/refunds", &format!("charge={id}"));
    assert_eq!(refund["status"], "pending");
    sandbox.advance_to(START + 200);
    let line = format!("GET /v1/refunds/{}", text(&refund, "id"));
    assert_eq!(ok(&mut sandbox, &line, "")["status"], "succeeded");
    let (_, id) = paid(&mut sandbox, "pm_card_pendingRefund");
    let refund = ok(&mut sandbox, "POST /v1/refunds", &format!("charge={id}&amount=10"));
    let line = format!("POST /v1/refunds/{}/cancel", text(&refund, "id"));
    assert_eq!(ok(&mut sandbox, &line, "")["status"], "canceled");
    assert_eq!(refused(&mut sandbox, &line, "").0, 400);
    assert_eq!(charge(&mut sandbox, &id)["amount_refunded"], 0);
}

#[test]
fn some_test_cards_are_disputed_at_once() {
    let mut sandbox = sandbox();
    let (_, id) = paid(&mut sandbox, "pm_card_createDispute");
    assert_eq!(
        kinds(&sandbox, 3),
        ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.updated"]
    );
    assert_eq!(charge(&mut sandbox, &id)["disputed"], true);
    let fault = refused(&mut sandbox, "POST /v1/refunds", &format!("charge={id}"));
    assert_eq!(fault.1, "charge_disputed/");
    let from = sandbox.happenings().len();
    let (_, asked) = paid(&mut sandbox, "pm_card_createDisputeInquiry");
    assert_eq!(kinds(&sandbox, from + 3), ["charge.dispute.created", "charge.updated"]);
    let inquiry = ok(&mut sandbox, "GET /v1/disputes", &format!("charge={asked}"));
    assert_eq!(inquiry["data"][0]["status"], "warning_needs_response");
    assert_eq!(inquiry["data"][0]["is_charge_refundable"], true);
    ok(&mut sandbox, "POST /v1/refunds", &format!("charge={asked}"));
}

#[test]
fn a_dispute_is_answered_and_won_or_closed_and_lost() {
    let mut sandbox = sandbox();
    let (_, id) = paid(&mut sandbox, "pm_card_createDispute");
    let listed = ok(&mut sandbox, "GET /v1/disputes", &format!("charge={id}"));
    let path = format!("/v1/disputes/{}", text(&listed, "data.0.id"));
    let from = sandbox.happenings().len();
    let form = "evidence[uncategorized_text]=a&submit=true";
    let answered = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!(answered["status"], "under_review");
    assert_eq!(answered["evidence_details"]["submission_count"], 1);
    let fault = refused(&mut sandbox, &format!("POST {path}"), "evidence[colour]=red");
    assert_eq!(fault.1, "parameter_unknown/evidence[colour]");
    let form = "evidence[uncategorized_text]=winning_evidence";
    let won = ok(&mut sandbox, &format!("POST {path}"), form);
    assert_eq!(won["status"], "won");
    assert_eq!(won["balance_transactions"].as_array().unwrap().len(), 2);
    assert_eq!(
        kinds(&sandbox, from),
        [
            "charge.dispute.updated",
            "charge.dispute.updated",
            "charge.dispute.closed",
            "charge.dispute.funds_reinstated"
        ]
    );
    assert_eq!(refused(&mut sandbox, &format!("POST {path}/close"), "").0, 400);
    let (_, id) = paid(&mut sandbox, "pm_card_createDispute");
    let listed = ok(&mut sandbox, "GET /v1/disputes", &format!("charge={id}"));
    let line = format!("POST /v1/disputes/{}/close", text(&listed, "data.0.id"));
    assert_eq!(ok(&mut sandbox, &line, "")["status"], "lost");
}

#[test]
fn who_plays_the_bank_opens_and_ends_disputes() {
    let mut sandbox = sandbox();
    let (_, id) = paid(&mut sandbox, "pm_card_visa");
    let none = sandbox.dispute(&id, DisputeMove::Lost);
    assert_eq!(none, Err(DisputeError::NoDispute(id.clone())));
    let dispute = sandbox.dispute(&id, DisputeMove::Open).unwrap();
    assert_eq!(sandbox.dispute(&id, DisputeMove::Inquire), Err(DisputeError::Disputed(id.clone())));
    assert_eq!(sandbox.dispute(&id, DisputeMove::Won), Ok(dispute.clone()));
    let shown = ok(&mut sandbox, &format!("GET /v1/disputes/{dispute}"), "");
    assert_eq!(shown["status"], "won");
    let event = sandbox.happenings().last().unwrap().show(ApiVersion::Endive, 0);
    assert_eq!(event["request"]["id"], Value::Null);
    assert_eq!(
        sandbox.dispute("ch_none", DisputeMove::Open),
        Err(DisputeError::NoCharge("ch_none".to_owned()))
    );
    let form = "amount=1000&currency=usd&payment_method=pm_card_chargeCustomerFail&confirm=true";
    let reply = sandbox.call(&request("POST /v1/payment_intents", form));
    let failed = text(&reply.body, "error.payment_intent.latest_charge");
    let refusal = sandbox.dispute(&failed, DisputeMove::Open);
    assert_eq!(refusal, Err(DisputeError::NotPaid(failed)));
}
