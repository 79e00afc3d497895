//! The rules of each object that no single recorded event shows.

use tollgate_domain::observation::{SeenInvoice, SeenSession, SeenSubscription};
use tollgate_domain::subscription::{PreviousValues, SubscriptionStatus};
use tollgate_domain::{Observation, OwnerClaim, Seen, Timestamp};

use crate::{ObserveError, Observed, Parsed, event, observe};

mod claim;
mod invoice;
mod session;

const SUBSCRIPTION: &str =
    r#""id":"sub_1","status":"active","items":{"data":[{"price":{"id":"price_1"},"quantity":2}]}"#;
const INVOICE: &str = r#""id":"in_1","status":"open","amount_due":100,"currency":"usd""#;
const SESSION: &str = r#""id":"cs_1","mode":"payment","status":"complete","payment_status":"paid""#;

/// Observes an event of this type whose object has these fields; of a repeated field the last
/// counts.
fn tried(event_type: &str, fields: &str, previous: &str) -> Result<Observation, ObserveError> {
    let object: serde_json::Value = serde_json::from_str(&format!("{{{fields}}}")).unwrap();
    let body = format!(
        r#"{{"id":"evt_1","object":"event","type":"{event_type}","created":1700000000,"livemode":false,
        "data":{{"object":{object},"previous_attributes":{previous}}}}}"#
    );
    let Parsed::Event(envelope) = event::parse(body.as_bytes()) else { panic!("no event: {body}") };
    let Observed::Effect(observation) = observe(&envelope)? else { panic!("ignored: {body}") };
    Ok(observation)
}

fn told(event_type: &str, fields: &str) -> Observation {
    tried(event_type, fields, "null").unwrap_or_else(|error| panic!("{error}: {fields}"))
}

fn refused(event_type: &str, fields: &str) -> String {
    tried(event_type, fields, "null")
        .map_or_else(|error| error.to_string(), |told| panic!("{told:?}"))
}

fn subscription(fields: &str) -> SeenSubscription {
    subscription_after(fields, "null")
}

fn subscription_after(fields: &str, previous: &str) -> SeenSubscription {
    let told =
        tried("customer.subscription.updated", &format!("{SUBSCRIPTION},{fields}"), previous);
    let Seen::Subscription(seen) = told.unwrap().seen else { panic!("no subscription") };
    seen
}

fn invoice(fields: &str) -> SeenInvoice {
    let Seen::Invoice(seen) = told("invoice.updated", &format!("{INVOICE},{fields}")).seen else {
        panic!("no invoice")
    };
    seen
}

fn session(event_type: &str, fields: &str) -> SeenSession {
    let Seen::Session(seen) = told(event_type, &format!("{SESSION},{fields}")).seen else {
        panic!("no session")
    };
    seen
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn claim(event_type: &str, fields: &str) -> Option<(String, Option<String>)> {
    told(event_type, fields).claim.map(|OwnerClaim { account, member, .. }| {
        (account.to_string(), member.map(|member| member.to_string()))
    })
}

// ── subscriptions ──

#[test]
fn what_a_subscription_sells_is_found_in_every_form() {
    let table = [
        (r#""items":{"data":[{"price":{"id":"p_1"},"quantity":3}]}"#, vec![("p_1", 3)]),
        (r#""items":{"data":[{"price":"p_1","quantity":3.0}]}"#, vec![("p_1", 3)]),
        (r#""items":{"data":[{"plan":{"id":"gold"},"quantity":3}]}"#, vec![("gold", 3)]),
        (r#""items":{"data":[{"price":null,"plan":"gold"}]}"#, vec![("gold", 1)]),
        (
            r#""items":{"data":[{"price":{"id":"p_1"},"plan":{"id":"gold"},"quantity":null}]}"#,
            vec![("p_1", 1)],
        ),
        (
            r#""items":{"data":[{"price":"a","quantity":0},{"price":"b"}]}"#,
            vec![("a", 0), ("b", 1)],
        ),
        (r#""items":[{"price":"p_1"}]"#, vec![("p_1", 1)]),
        (r#""items":{"data":[]},"plan":{"id":"gold"},"quantity":4"#, vec![("gold", 4)]),
        (r#""items":null,"plan":{"id":"gold"},"quantity":4"#, vec![("gold", 4)]),
        (r#""items":{"data":[]}"#, vec![]),
        // A change that waits for its payment is not in effect.
        (
            r#""items":{"data":[{"price":"a"}]},"pending_update":{"subscription_items":[{"price":"b"}]}"#,
            vec![("a", 1)],
        ),
    ];
    for (fields, expected) in table {
        let items = subscription(fields).state.items;
        let sold: Vec<_> = items.iter().map(|item| (item.price.as_str(), item.quantity)).collect();
        assert_eq!(sold, expected, "{fields}");
    }
}

#[test]
fn the_product_of_an_item_is_found_where_a_shape_has_it() {
    for (item, expected) in [
        (r#"{"price":{"id":"p","product":"prod_1"}}"#, Some("prod_1")),
        (r#"{"price":{"id":"p","product":{"id":"prod_1","object":"product"}}}"#, Some("prod_1")),
        (r#"{"price":{"id":"p","product":{"id":"prod_1","deleted":true}}}"#, Some("prod_1")),
        (r#"{"plan":{"id":"gold","product":"prod_1"}}"#, Some("prod_1")),
        (r#"{"plan":{"id":"gold","name":"Gold"}}"#, None),
        (r#"{"price":{"id":"p","product":null}}"#, None),
        (r#"{"price":"p"}"#, None),
    ] {
        let items = subscription(&format!(r#""items":{{"data":[{item}]}}"#)).state.items;
        let product = items[0].product.as_ref().map(ToString::to_string);
        assert_eq!(product.as_deref(), expected, "{item}");
    }
}

#[test]
fn prices_of_a_connected_account_are_known_by_their_ids_alone() {
    let body = |account: &str| {
        format!(
            r#"{{"id":"evt_1","object":"event","type":"customer.subscription.updated","created":1,
            "livemode":false{account},"data":{{"object":{{"id":"sub_1","status":"active","items":{{
            "data":[{{"price":{{"id":"p","lookup_key":"sietch_elite_monthly","product":"prod_1"}}}}]}}
            }},"previous_attributes":{{"items":{{"data":[{{"price":{{"id":"q","lookup_key":"k"}}}}]}}}}}}}}"#
        )
    };
    let items = |account: &str| {
        let body = body(account);
        let Parsed::Event(envelope) = event::parse(body.as_bytes()) else { panic!("{body}") };
        let Ok(Observed::Effect(told)) = observe(&envelope) else { panic!("{body}") };
        let Seen::Subscription(seen) = told.seen else { panic!("{body}") };
        let before = seen.state.previous.unwrap().items.unwrap();
        let key =
            |item: &tollgate_domain::subscription::SubscriptionItem| item.lookup_key.is_some();
        (key(&seen.state.items[0]), seen.state.items[0].product.is_some(), key(&before[0]))
    };
    assert_eq!(items(""), (true, true, true));
    assert_eq!(items(r#","account":null"#), (true, true, true));
    assert_eq!(items(r#","account":"acct_2""#), (false, false, false));
}

#[test]
fn a_metered_item_counts_once_and_a_licensed_one_by_its_quantity() {
    let metered = r#""recurring":{"usage_type":"metered"}"#;
    for (item, expected) in [
        (format!(r#"{{"price":{{"id":"p",{metered}}}}}"#), 1),
        (format!(r#"{{"price":{{"id":"p",{metered}}},"quantity":0}}"#), 1),
        (r#"{"plan":{"id":"p","usage_type":"metered"},"quantity":0}"#.to_owned(), 1),
        (
            r#"{"price":{"id":"p","recurring":{"usage_type":"licensed"}},"quantity":0}"#.to_owned(),
            0,
        ),
        (r#"{"plan":{"id":"p","usage_type":"licensed"},"quantity":7}"#.to_owned(), 7),
    ] {
        let items = subscription(&format!(r#""items":{{"data":[{item}]}}"#)).state.items;
        assert_eq!(items[0].quantity, expected, "{item}");
    }
}

#[test]
fn a_subscription_that_does_not_say_what_matters_is_refused_by_name() {
    for (fields, expected) in [
        (r#""id":null"#, "subscription.id is missing"),
        (r#""id":"sub 1""#, "subscription.id is garbled"),
        (r#""object":"customer""#, "subscription.object is garbled"),
        (r#""status":null"#, "subscription.status is missing"),
        (r#""status":"a\u0000b""#, "subscription.status is garbled"),
        (r#""status":7"#, "subscription.status is garbled"),
        (r#""items":null"#, "subscription.items is missing"),
        (r#""items":7"#, "subscription.items is garbled"),
        (r#""items":{"data":[7]}"#, "subscription.items.data is garbled"),
        (r#""items":{"data":[{}]}"#, "subscription.items.data.price is missing"),
        (r#""items":{"data":[{"price":{}}]}"#, "subscription.items.data is garbled"),
        (r#""items":{"data":[{"price":"p","quantity":-1}]}"#, "subscription.items.data is garbled"),
        (
            r#""items":{"data":[{"price":"p","quantity":1.5}]}"#,
            "subscription.items.data is garbled",
        ),
        (
            r#""items":{"data":[{"price":"p","quantity":"2"}]}"#,
            "subscription.items.data is garbled",
        ),
        (r#""customer":{}"#, "subscription.customer is garbled"),
        (r#""cancel_at":"soon""#, "subscription.cancel_at is garbled"),
        (r#""cancel_at_period_end":"yes""#, "subscription.cancel_at_period_end is garbled"),
    ] {
        let fields = format!("{SUBSCRIPTION},{fields}");
        assert_eq!(refused("customer.subscription.updated", &fields), expected);
    }
}

#[test]
fn an_items_own_period_counts_before_the_subscriptions() {
    let top = r#""current_period_start":10,"current_period_end":20"#;
    let item = |own: &str| {
        let fields = format!(r#"{top},"items":{{"data":[{{"price":"p"{own}}}]}}"#);
        let item = subscription(&fields).state.items.remove(0);
        (item.period_start, item.period_end)
    };
    assert_eq!(item(""), (Some(at(10)), Some(at(20))));
    assert_eq!(
        item(r#","current_period_start":11,"current_period_end":21"#),
        (Some(at(11)), Some(at(21)))
    );
    assert_eq!(item(r#","current_period_end":null"#), (Some(at(10)), Some(at(20))));
}

#[test]
fn a_status_nobody_knows_is_a_status_and_a_cut_list_is_marked() {
    assert_eq!(
        subscription(r#""status":"hibernating""#).state.status,
        SubscriptionStatus::Unknown("hibernating".into())
    );
    assert!(!subscription(r#""items":{"data":[{"price":"p"}],"has_more":false}"#).state.items_cut);
    assert!(subscription(r#""items":{"data":[{"price":"p"}],"has_more":true}"#).state.items_cut);
}

#[test]
fn references_are_ids_objects_deleted_objects_or_nothing() {
    for (customer, expected) in [
        (r#""cus_1""#, Some("cus_1")),
        (
            r#"{"id":"cus_1","object":"customer","email":"x@y.example","sources":{"data":[]}}"#,
            Some("cus_1"),
        ),
        (r#"{"id":"cus_1","object":"customer","deleted":true}"#, Some("cus_1")),
        ("null", None),
    ] {
        let fields = format!(r#"{SUBSCRIPTION},"customer":{customer}"#);
        let told = told("customer.subscription.updated", &fields);
        assert_eq!(told.customer.as_ref().map(AsRef::as_ref), expected);
        let references: Vec<_> = told.references.iter().map(AsRef::as_ref).collect();
        assert_eq!(references, [Some("sub_1"), expected].into_iter().flatten().collect::<Vec<_>>());
    }
}

#[test]
fn previous_values_tell_null_from_absent() {
    let previous = |json: &str| {
        let fields = r#""current_period_start":10,"current_period_end":20"#;
        subscription_after(fields, json).state.previous.map(|previous| *previous)
    };
    let empty = PreviousValues::default;
    for nothing in ["null", "{}", "[]", "7", r#"{"metadata":{"a":"b"}}"#, r#"{"status":7}"#] {
        assert_eq!(previous(nothing), None, "{nothing}");
    }
    let table = [
        (r#"{"cancel_at":null}"#, PreviousValues { cancel_at: Some(None), ..empty() }),
        (r#"{"cancel_at":5}"#, PreviousValues { cancel_at: Some(Some(at(5))), ..empty() }),
        (
            r#"{"pause_collection":null}"#,
            PreviousValues { collection_paused: Some(false), ..empty() },
        ),
        (
            r#"{"pause_collection":{"behavior":"void"}}"#,
            PreviousValues { collection_paused: Some(true), ..empty() },
        ),
        (r#"{"latest_invoice":null}"#, PreviousValues { latest_invoice: Some(None), ..empty() }),
        (
            r#"{"status":"trialing","trial_end":7}"#,
            PreviousValues {
                status: Some(SubscriptionStatus::Trialing),
                trial_end: Some(Some(at(7))),
                ..empty()
            },
        ),
    ];
    for (json, expected) in table {
        assert_eq!(previous(json), Some(expected), "{json}");
    }
}

#[test]
fn previous_items_are_whole_whatever_the_shape_lists() {
    let items = |json: &str| {
        let fields = r#""current_period_start":10,"current_period_end":20"#;
        let previous = subscription_after(fields, json).state.previous?;
        Some(
            previous
                .items?
                .iter()
                .map(|item| {
                    let (start, end) = (item.period_start.unwrap(), item.period_end.unwrap());
                    format!(
                        "{}*{} {}-{}",
                        item.price,
                        item.quantity,
                        start.unix_seconds(),
                        end.unix_seconds()
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
        )
    };
    for (json, expected) in [
        (r#"{"items":{"data":[{"price":"p_0","quantity":9}]}}"#, Some("p_0*9 10-20")),
        (
            r#"{"items":{"data":[{"price":"p_0","current_period_start":1,"current_period_end":2}]}}"#,
            Some("p_0*1 1-2"),
        ),
        (r#"{"current_period_start":1,"current_period_end":10}"#, Some("price_1*2 1-10")),
        (r#"{"plan":{"id":"gold"}}"#, Some("gold*2 10-20")),
        (r#"{"quantity":9}"#, Some("price_1*9 10-20")),
        (r#"{"plan":{"id":"gold"},"quantity":9,"current_period_end":15}"#, Some("gold*9 10-15")),
        // Only the changed parts of an item: not readable as what was sold.
        (r#"{"status":"trialing","items":{"data":[{"quantity":9}]}}"#, None),
        (r#"{"status":"trialing","items":null}"#, None),
    ] {
        assert_eq!(items(json).as_deref(), expected, "{json}");
    }
}

// ── invoices ──

#[test]
fn what_is_planned_for_a_subscription_is_read() {
    let seen = subscription(
        r#""schedule":{"id":"sub_sched_1","status":"active","end_behavior":"cancel","phases":[
            {"start_date":1,"end_date":5,"items":[{"price":"a"}]},
            {"start_date":5,"end_date":9,"plans":[{"plan":"b","quantity":3}]},
            {"start_date":9,"items":[{"quantity":1}]}]}"#,
    );
    assert_eq!(seen.state.schedule.as_ref().map(AsRef::as_ref), Some("sub_sched_1"));
    let schedule = seen.schedule.unwrap();
    assert_eq!((schedule.over, schedule.cancels), (false, true));
    assert_eq!(schedule.subscription.as_ref(), Some(&seen.id));
    let phases: Vec<String> = schedule
        .phases
        .iter()
        .map(|one| {
            format!("{} {}*{}", one.start.unix_seconds(), one.items[0].price, one.items[0].quantity)
        })
        .collect();
    assert_eq!(phases, ["1 a*1", "5 b*3"], "half a phase would be a wrong one");
    let by_id = subscription(r#""schedule":"sub_sched_1""#);
    assert_eq!(by_id.state.schedule.as_ref().map(AsRef::as_ref), Some("sub_sched_1"));
    assert_eq!(by_id.schedule, None);
    assert_eq!(subscription(r#""schedule":null"#).state.schedule, None);

    let pending = |fields: &str| subscription(fields).state.pending_update;
    let update = pending(
        r#""pending_update":{"expires_at":7,"subscription_items":[
            {"id":"si_1","price":{"id":"b","lookup_key":"k"},"quantity":2},{"id":"si_2","deleted":true}]}"#,
    );
    let update = update.unwrap();
    assert_eq!((update.expires_at, update.items.len()), (at(7), 1));
    assert_eq!(update.items[0].lookup_key.as_deref(), Some("k"));
    assert_eq!(pending(r#""pending_update":null"#), None);
}

#[test]
fn a_pause_of_collection_keeps_its_behaviour_and_its_end() {
    let pause = |value: &str| {
        let state = subscription(&format!(r#""pause_collection":{value}"#)).state;
        state.collection_pause.map(|pause| (pause.behavior, pause.resumes_at))
    };
    assert_eq!(
        pause(r#"{"behavior":"void","resumes_at":9}"#),
        Some((Some("void".into()), Some(at(9))))
    );
    assert_eq!(
        pause(r#"{"behavior":"void","resumes_at":null}"#),
        Some((Some("void".into()), None))
    );
    assert_eq!(pause("{}"), Some((None, None)));
    assert_eq!(pause("null"), None);
}

#[test]
fn a_charge_without_a_flag_is_compared_by_its_amounts() {
    let status = |fields: &str| {
        let fields = format!(r#""id":"ch_1","amount":500,"currency":"usd",{fields}"#);
        let Seen::Adjustment(seen) = told("charge.refunded", &fields).seen else { panic!() };
        (seen.status.to_string(), seen.amount.amount_minor)
    };
    assert_eq!(status(r#""amount_refunded":500"#), ("full".to_owned(), 500));
    assert_eq!(status(r#""amount_refunded":499"#), ("partial".to_owned(), 499));
    assert_eq!(status(r#""amount_refunded":500,"refunded":false"#), ("partial".to_owned(), 500));
    assert_eq!(refused("charge.refunded", r#""id":"ch_1""#), "charge.amount_refunded is missing");
}

#[test]
fn a_refund_without_a_status_is_not_done() {
    let refund = r#""id":"re_1","amount":5,"currency":"usd","status":null"#;
    let Seen::Adjustment(seen) = told("refund.created", refund).seen else { panic!() };
    assert_eq!(&*seen.status, "pending");
    assert_eq!(
        refused("charge.dispute.closed", r#""id":"dp_1","amount":5,"currency":"usd""#),
        "dispute.status is missing"
    );
}

#[test]
fn texts_no_column_could_hold_are_dropped() {
    let email = |json: &str| {
        let Seen::Customer(seen) =
            told("customer.updated", &format!(r#""id":"cus_1","email":{json}"#)).seen
        else {
            panic!()
        };
        seen.email.map(String::from)
    };
    assert_eq!(email(r#""a@b.example""#).as_deref(), Some("a@b.example"));
    assert_eq!(email(r#""ä@b.example""#).as_deref(), Some("ä@b.example"));
    for dropped in
        ["null", r#""""#, r#""a\u0000b""#, r#""a\nb""#, "7", &format!("{:?}", "x".repeat(2049))]
    {
        assert_eq!(email(dropped), None);
    }
}

#[test]
fn a_customer_is_deleted_by_its_flag_or_by_the_event() {
    let deleted = |event: &str, fields: &str| {
        let Seen::Customer(seen) = told(event, &format!(r#""id":"cus_1"{fields}"#)).seen else {
            panic!()
        };
        seen.deleted
    };
    assert!(deleted("customer.deleted", ""));
    assert!(deleted("customer.updated", r#","deleted":true"#));
    assert!(!deleted("customer.updated", ""));
}

#[test]
fn an_unreadable_object_is_named_and_not_quoted() {
    let body = br#"{"id":"evt_1","type":"customer.updated","created":1,"livemode":false,
        "data":{"object":{"id":"cus_1","email":"\ud800secret"}}}"#;
    let Parsed::Event(envelope) = event::parse(body) else { panic!("no event") };
    let error = observe(&envelope).unwrap_err();
    assert_eq!(error, ObserveError::Unreadable { object: "customer" });
    assert_eq!(
        (error.to_string().as_str(), error.reason()),
        ("customer is unreadable", "unreadable_object")
    );
}
