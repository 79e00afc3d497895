//! The rules of each object that no single recorded event shows.

use tollgate_domain::observation::{SeenInvoice, SeenSession, SeenSubscription};
use tollgate_domain::payment::{
    InvoiceLine, InvoiceStatus, PurchaseKind, SessionMode, SessionStatus,
};
use tollgate_domain::subscription::{PreviousValues, SubscriptionStatus};
use tollgate_domain::{Observation, OwnerClaim, Seen, Timestamp};

use crate::{ObserveError, Observed, Parsed, event, observe};

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
fn an_invoice_without_a_status_is_told_by_its_flags() {
    for (flags, expected) in [
        (r#""paid":true,"closed":true,"forgiven":false,"attempted":true"#, InvoiceStatus::Paid),
        (
            r#""paid":false,"closed":true,"forgiven":true,"attempted":true"#,
            InvoiceStatus::Uncollectible,
        ),
        (r#""paid":false,"closed":true,"forgiven":false,"attempted":true"#, InvoiceStatus::Open),
        (r#""paid":false,"closed":false,"forgiven":false,"attempted":true"#, InvoiceStatus::Open),
        (r#""paid":false,"closed":false,"forgiven":false,"attempted":false"#, InvoiceStatus::Draft),
        // The status counts where there is one.
        (r#""status":"void","paid":false,"closed":true"#, InvoiceStatus::Void),
    ] {
        let seen = invoice(&format!(r#""status":null,{flags}"#));
        assert_eq!(seen.state.status, expected, "{flags}");
    }
}

#[test]
fn an_invoice_without_an_amount_paid_was_paid_in_full_or_not_at_all() {
    let paid = |fields: &str| invoice(fields).state.amount_paid_minor;
    assert_eq!(paid(r#""status":"paid""#), 100);
    assert_eq!(paid(r#""status":"open""#), 0);
    assert_eq!(paid(r#""status":"paid","amount_paid":40"#), 40);
}

#[test]
fn the_subscription_of_an_invoice_is_found_on_every_path() {
    let parent = r#""parent":{"subscription_details":{"subscription":"sub_new"}}"#;
    let old = r#""subscription":"sub_old""#;
    let line = r#""lines":{"data":[{"subscription":null},{"subscription":"sub_line"}]}"#;
    let item = r#""lines":{"data":[{"parent":{"subscription_item_details":{"subscription":"sub_item"}}}]}"#;
    let proration = r#""lines":{"data":[{"parent":{"subscription_item_details":null,"invoice_item_details":{"subscription":{"id":"sub_pro"}}}}]}"#;
    for (fields, expected) in [
        (format!("{parent},{old},{line}"), Some("sub_new")),
        (format!("{old},{line}"), Some("sub_old")),
        (format!(r#""subscription":null,"parent":null,{line}"#), Some("sub_line")),
        (item.to_owned(), Some("sub_item")),
        (proration.to_owned(), Some("sub_pro")),
        (r#""parent":{"subscription_details":{"subscription":{"id":"sub_whole","object":"subscription"}}}"#.to_owned(), Some("sub_whole")),
        (r#""subscription":null,"parent":null"#.to_owned(), None),
    ] {
        let seen = invoice(&fields);
        assert_eq!(seen.subscription.as_ref().map(AsRef::as_ref), expected, "{fields}");
    }
}

#[test]
fn the_owner_of_an_invoice_is_the_subscriptions_first() {
    let parent = r#""parent":{"subscription_details":{"metadata":{"account_id":"parent"}}}"#;
    let details = r#""subscription_details":{"metadata":{"account_id":"details"}}"#;
    let own = r#""metadata":{"account_id":"own"}"#;
    let lines = r#""lines":{"data":[{"metadata":{}},{"metadata":{"account_id":"line"}},{"metadata":{"accountId":"line"}}]}"#;
    let quarrel =
        r#""lines":{"data":[{"metadata":{"account_id":"a"}},{"metadata":{"account_id":"b"}}]}"#;
    for (fields, expected) in [
        (format!("{parent},{details},{own},{lines}"), Some("parent")),
        (format!("{details},{own},{lines}"), Some("details")),
        (format!("{own},{lines}"), Some("own")),
        (lines.to_owned(), Some("line")),
        (quarrel.to_owned(), None),
        (r#""metadata":null"#.to_owned(), None),
    ] {
        let found = claim("invoice.paid", &format!("{INVOICE},{fields}"));
        assert_eq!(found.map(|(account, _)| account).as_deref(), expected, "{fields}");
    }
}

#[test]
fn an_invoice_bills_the_line_that_ends_last() {
    let seen = invoice(
        r#""period_start":1,"period_end":2,"lines":{"data":[
        {"period":{"start":100,"end":200}},{"period":{"start":150,"end":200}},{"period":{"start":1,"end":100}}]}"#,
    );
    assert_eq!((seen.state.period_start, seen.state.period_end), (Some(at(100)), Some(at(200))));
    let seen = invoice(r#""period_start":1,"period_end":2"#);
    assert_eq!((seen.state.period_start, seen.state.period_end), (Some(at(1)), Some(at(2))));
}

#[test]
fn what_an_invoice_lists_is_listed_once() {
    let seen = invoice(
        r#""payment_intent":{"id":"pi_1"},"charge":"ch_1",
        "payments":{"data":[{"payment":{"type":"payment_intent","payment_intent":"pi_1"}},
            {"status":"paid","payment":{"type":"payment_record","payment_record":"pr_1"}},
            {"status":"open","payment":{"type":"payment_intent","payment_intent":"pi_2"}},
            {"status":"canceled","payment":{"type":"payment_intent","payment_intent":"pi_3"}}]},
        "lines":{"data":[]}"#,
    );
    let payments: Vec<_> = seen.payments.iter().map(AsRef::as_ref).collect();
    assert_eq!(payments, ["pi_1", "ch_1"]);
}

/// The lines of an invoice: `si_1 price*2 of prod 1..9 for 100`, `?` for what is not there.
fn lines(lines: &str) -> Vec<String> {
    let seen = invoice(&format!(r#""lines":{{"data":[{lines}],"has_more":false}}"#));
    let text = |line: &InvoiceLine| {
        let item = line.item.as_ref().map_or("?", AsRef::as_ref);
        let product = line.product.as_ref().map_or("?", AsRef::as_ref);
        let (start, end) = (line.start.unix_seconds(), line.end.unix_seconds());
        let proration = if line.proration { " prorated" } else { "" };
        let (price, quantity, amount) = (&line.price, line.quantity, line.amount_minor);
        format!("{item} {price}*{quantity} of {product} {start}..{end} for {amount}{proration}")
    };
    seen.lines.unwrap().all.iter().map(text).collect()
}

#[test]
fn the_lines_of_an_invoice_are_read_in_every_shape() {
    let common = r#""amount":-100,"quantity":2,"period":{"start":1,"end":9}"#;
    let expected = ["si_1 a*2 of prod 1..9 for -100 prorated"];
    for shape in [
        r#""parent":{"type":"subscription_item_details","subscription_item_details":{"subscription_item":"si_1","proration":true}},
            "pricing":{"price_details":{"price":"a","product":"prod"}}"#,
        r#""parent":{"invoice_item_details":{"subscription_item":"si_1","proration":true},"subscription_item_details":null},
            "pricing":{"price_details":{"price":{"id":"a","product":"prod"}}}"#,
        r#""subscription_item":"si_1","proration":true,"price":{"id":"a","product":{"id":"prod"}},"plan":{"id":"a"}"#,
        r#""subscription_item":"si_1","proration":true,"plan":{"id":"a","product":"prod"}"#,
    ] {
        assert_eq!(lines(&format!("{{{common},{shape}}}")), expected, "{shape}");
    }
    let bare = r#"{"amount":5,"period":{"start":1,"end":9},"price":{"id":"a"}}"#;
    assert_eq!(lines(bare), ["? a*1 of ? 1..9 for 5"]);
    // A line without a price, an amount or a span proves nothing and is left out.
    for nothing in [
        r#"{"amount":5,"period":{"start":1,"end":9}}"#,
        r#"{"period":{"start":1,"end":9},"price":{"id":"a"}}"#,
        r#"{"amount":5,"price":{"id":"a"}}"#,
        r#"{"amount":5,"period":{"start":1,"end":9},"price":{"id":"a"},"quantity":-1}"#,
        "{}",
    ] {
        assert!(lines(nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn a_cut_list_of_lines_says_so_and_a_missing_one_says_nothing() {
    let cut = |fields: &str| invoice(fields).lines.map(|lines| lines.cut);
    assert_eq!(cut(r#""lines":{"data":[],"has_more":true}"#), Some(true));
    assert_eq!(cut(r#""lines":{"data":[],"has_more":false}"#), Some(false));
    assert_eq!(cut(r#""lines":null"#), None);
}

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
fn an_invoice_that_does_not_say_what_matters_is_refused_by_name() {
    for (fields, expected) in [
        (r#""id":null"#, "invoice.id is missing"),
        (r#""status":null"#, "invoice.status is missing"),
        (r#""status":"deleted""#, "invoice.status is garbled"),
        (r#""amount_due":null"#, "invoice.amount_due is missing"),
        (r#""amount_due":"100""#, "invoice.amount_due is garbled"),
        (r#""currency":"dollars""#, "invoice.currency is garbled"),
        (r#""attempt_count":-1"#, "invoice.attempt_count is garbled"),
        (r#""subscription":"a b""#, "invoice.subscription is garbled"),
        (r#""payment_intent":7"#, "invoice.payment_intent is garbled"),
    ] {
        assert_eq!(refused("invoice.updated", &format!("{INVOICE},{fields}")), expected);
    }
}

// ── sessions, payments ──

#[test]
fn only_the_payment_status_says_that_a_session_is_paid() {
    let paid = |status: &str| {
        session("checkout.session.completed", &format!(r#""payment_status":"{status}""#)).paid
    };
    assert!(paid("paid") && paid("no_payment_required"));
    assert!(!paid("unpaid") && !paid("something_new"));
    let fields = format!(r#"{SESSION},"payment_status":null"#);
    assert_eq!(
        refused("checkout.session.completed", &fields),
        "checkout.session.payment_status is missing"
    );
}

#[test]
fn sessions_older_than_their_fields_are_told_by_the_rest() {
    let status = |event: &str| session(event, r#""status":null"#).status;
    assert_eq!(status("checkout.session.completed"), SessionStatus::Complete);
    assert_eq!(status("checkout.session.expired"), SessionStatus::Expired);
    assert_eq!(
        session("checkout.session.completed", r#""status":"open""#).status,
        SessionStatus::Open,
        "the object's own word counts"
    );
    let mode = |fields: &str| {
        session("checkout.session.completed", &format!(r#""mode":null,{fields}"#)).mode
    };
    assert_eq!(mode(r#""subscription":"sub_1","payment_intent":null"#), SessionMode::Subscription);
    assert_eq!(mode(r#""payment_intent":"pi_1""#), SessionMode::Payment);
    assert_eq!(mode(r#""setup_intent":"seti_1""#), SessionMode::Setup);
    let refuse =
        |mode: &str| refused("checkout.session.completed", &format!(r#"{SESSION},"mode":{mode}"#));
    assert_eq!(refuse("null"), "checkout.session.mode is missing");
    assert_eq!(refuse(r#""barter""#), "checkout.session.mode is garbled");
}

#[test]
fn a_sessions_metadata_says_what_it_sells() {
    let kind = |metadata: &str| {
        session("checkout.session.completed", &format!(r#""metadata":{metadata}"#)).kind
    };
    let grant = |plan: Option<&str>| PurchaseKind::Grant {
        claimed: plan.map(|plan| tollgate_domain::ids::PlanId::parse(plan).unwrap()),
    };
    assert_eq!(kind(r#"{"type":"badge_purchase"}"#), PurchaseKind::Badge);
    assert_eq!(kind(r#"{"type":"community_boost"}"#), PurchaseKind::Boost);
    assert_eq!(kind(r#"{"type":"grant","plan":"pro"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"type":"grant","entitlementLevel":"PRO"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"type":"grant","plan":"no plan"}"#), grant(None));
    // Without a kind, a plan that is named is what was meant.
    assert_eq!(kind(r#"{"userId":"u1","entitlementLevel":"PRO"}"#), grant(Some("pro")));
    assert_eq!(kind(r#"{"tier":"Pro"}"#), grant(Some("pro")));
    let nothing = [r#"{"type":"gift"}"#, r#"{"type":"gift","plan":"pro"}"#, r#"{"userId":"u1"}"#];
    for other in nothing.into_iter().chain([r#"{"plan":"no plan"}"#, "{}", "null", "[]", "1"]) {
        assert_eq!(kind(other), PurchaseKind::Other, "{other}");
    }
}

#[test]
fn the_lines_of_a_session_are_read_in_every_shape() {
    let lines = |fields: &str| -> Vec<String> {
        let seen = session("checkout.session.completed", fields);
        let shown = |line: &tollgate_domain::payment::PurchaseLine| {
            let product = line.product.as_ref().map_or("-", AsRef::as_ref);
            let total = line.total.map_or(0, |total| total.amount_minor);
            format!("{} {}*{} of {product} for {total}", line.id, line.price, line.quantity)
        };
        let cut = seen.lines_cut.then(|| "cut".to_owned());
        seen.lines.iter().map(shown).chain(cut).collect()
    };
    for (fields, expected) in [
        (
            r#""line_items":{"data":[{"id":"li_1","price":{"id":"p","product":"prod_1"},
                "quantity":2,"amount_total":380,"currency":"eur"},{"id":"li_2","price":{"id":"q"}}],
                "has_more":true}"#,
            vec!["li_1 p*2 of prod_1 for 380", "li_2 q*1 of - for 0", "cut"],
        ),
        (
            r#""display_items":[{"amount":5,"plan":{"id":"gold","product":"prod_1"},"quantity":3}]"#,
            vec!["#0 gold*3 of prod_1 for 0"],
        ),
        // A line of a product that was made for it alone has a price as well, one without is none.
        (r#""line_items":{"data":[{"id":"li_1","price":null,"description":"a"}]}"#, vec![]),
        (r#""line_items":{"data":[{"id":"li_1","price":{"id":"p"},"quantity":-1}]}"#, vec![]),
        (r#""line_items":null"#, vec![]),
    ] {
        assert_eq!(lines(fields), expected, "{fields}");
    }
}

#[test]
fn what_the_goods_of_a_session_may_have_cost_is_without_discounts_and_taxes() {
    let amounts = |fields: &str| -> Vec<String> {
        let seen = session("checkout.session.completed", &format!(r#""currency":"usd",{fields}"#));
        let text = |money: &tollgate_domain::money::Money| {
            format!("{} {}", money.amount_minor, money.currency.as_str())
        };
        seen.amounts.iter().map(text).collect()
    };
    for (fields, expected) in [
        (r#""amount_subtotal":500,"amount_total":500"#, vec!["500 usd"]),
        (r#""amount_subtotal":500,"amount_total":0"#, vec!["500 usd"]),
        // Shapes without a subtotal.
        (
            r#""amount_subtotal":null,"amount_total":510,
                "total_details":{"amount_discount":100,"amount_tax":90,"amount_shipping":20}"#,
            vec!["500 usd", "510 usd", "590 usd"],
        ),
        (
            r#""amount_subtotal":500,"amount_total":595,"total_details":{"amount_tax":95}"#,
            vec!["500 usd", "595 usd"],
        ),
        // Adaptive Pricing as it was before 2025-03-31, and as it is since.
        (
            r#""currency":"eur","amount_subtotal":460,"amount_total":460,"currency_conversion":
                {"amount_subtotal":500,"amount_total":500,"fx_rate":"0.92","source_currency":"usd"}"#,
            vec!["460 eur", "500 usd"],
        ),
        (
            r#""amount_subtotal":500,"amount_total":500,"presentment_details":
                {"presentment_amount":460,"presentment_currency":"eur"}"#,
            vec!["500 usd"],
        ),
    ] {
        assert_eq!(amounts(fields), expected, "{fields}");
    }
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
fn a_payment_of_an_invoice_names_its_invoice() {
    let fields =
        r#""id":"inpay_1","invoice":{"id":"in_1"},"payment":{"charge":"ch_1","type":"charge"}"#;
    let Seen::InvoicePayment(seen) = told("invoice_payment.paid", fields).seen else { panic!() };
    assert_eq!((seen.invoice.as_str(), seen.payments[0].as_str()), ("in_1", "ch_1"));
    assert_eq!(
        refused("invoice_payment.paid", r#""id":"inpay_1""#),
        "invoice_payment.invoice is missing"
    );
}

// ── owners and texts ──

#[test]
fn the_first_name_with_a_usable_account_is_the_claim() {
    for (metadata, account, member) in [
        (
            r#"{"userId":"h","user_id":"g","tenantId":"f","tenant_id":"e","communityId":"d","community_id":"c","accountId":"b","account_id":"a"}"#,
            Some("a"),
            None,
        ),
        (r#"{"userId":"h","user_id":"g","tenantId":"f"}"#, Some("f"), None),
        (r#"{"account_id":"","accountId":"b c","community_id":"d"}"#, Some("d"), None),
        (r#"{"account_id":7,"userId":"h"}"#, Some("h"), None),
        (r#"{"account_id":"a\u0000b"}"#, None, None),
        (r#"{"account_id":"a","memberId":"y","member_id":"x"}"#, Some("a"), Some("x")),
        (r#"{"account_id":"a","member_id":"","memberId":"y"}"#, Some("a"), Some("y")),
        (r#"{"member_id":"x"}"#, None, None),
        ("{}", None, None),
        ("[]", None, None),
        ("null", None, None),
    ] {
        let expected = account.map(|account| (account.to_owned(), member.map(str::to_owned)));
        let found = claim("customer.updated", &format!(r#""id":"cus_1","metadata":{metadata}"#));
        assert_eq!(found, expected, "{metadata}");
    }
}

#[test]
fn a_name_that_cannot_be_an_account_is_told_of() {
    let invalid = |fields: &str| told("checkout.session.completed", fields).invalid_claim;
    for (fields, expected) in [
        (r#""metadata":{"userId":"null"}"#, Some("userId")),
        (r#""metadata":{"accountId":"undefined"}"#, Some("accountId")),
        (r#""metadata":{"userId":"a b","tenantId":"[object Object]"}"#, Some("tenantId")),
        (r#""client_reference_id":"a b""#, Some("client_reference_id")),
        (r#""metadata":{"userId":"null"},"client_reference_id":"acme""#, None),
        (r#""metadata":{"userId":"auth0|5f"},"client_reference_id":"a b""#, None),
        (r#""metadata":{"userId":""}"#, None),
        (r#""metadata":{"other":"a b"}"#, None),
    ] {
        assert_eq!(invalid(&format!("{SESSION},{fields}")), expected, "{fields}");
    }
}

#[test]
fn who_pays_may_be_an_account_in_place_of_a_customer() {
    let seen = told(
        "customer.subscription.updated",
        &format!(r#"{SUBSCRIPTION},"customer":null,"customer_account":"acct_9""#),
    );
    assert_eq!(seen.customer, None);
    let payers: Vec<&str> = seen.payers().map(AsRef::as_ref).collect();
    assert_eq!(payers, ["acct_9"]);
    let seen = told("customer.updated", r#""id":"cus_1","customer_account":"acct_9""#);
    let payers: Vec<&str> = seen.payers().map(AsRef::as_ref).collect();
    assert_eq!(payers, ["cus_1", "acct_9"]);
}

#[test]
fn a_change_of_the_metadata_is_told_from_a_claim_made_before() {
    let claim = |previous: &str| {
        let body = format!(
            r#"{{"id":"evt_1","object":"event","type":"customer.updated","created":1,"livemode":false,"data":{{"object":{{"id":"cus_1","object":"customer","metadata":{{"accountId":"a"}}}},"previous_attributes":{previous}}}}}"#
        );
        let crate::Parsed::Event(envelope) = crate::event::parse(body.as_bytes()) else { panic!() };
        let Ok(crate::Observed::Effect(seen)) = crate::observe(&envelope) else { panic!() };
        seen.claim.unwrap().edited
    };
    assert!(claim(r#"{"metadata":{"accountId":"b"}}"#));
    assert!(claim(r#"{"metadata":{"accountId":null}}"#));
    assert!(!claim(r#"{"email":"a@example.com"}"#));
}

#[test]
fn a_sessions_reference_id_claims_when_the_metadata_does_not() {
    let found = |fields: &str| claim("checkout.session.completed", &format!("{SESSION},{fields}"));
    let pair =
        |account: &str, member: Option<&str>| Some((account.to_owned(), member.map(str::to_owned)));
    assert_eq!(found(r#""client_reference_id":"acme""#), pair("acme", None));
    assert_eq!(
        found(r#""client_reference_id":"acme","metadata":{"member_id":"m"}"#),
        pair("acme", Some("m"))
    );
    assert_eq!(
        found(r#""client_reference_id":"acme","metadata":{"userId":"other"}"#),
        pair("other", None)
    );
    assert_eq!(found(r#""client_reference_id":"not an id""#), None);
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
