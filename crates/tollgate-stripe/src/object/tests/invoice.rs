//! Invoices in every shape.

use tollgate_domain::Seen;
use tollgate_domain::payment::{InvoiceLine, InvoiceStatus};

use super::{INVOICE, at, claim, invoice, refused, told};

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
pub(super) fn lines(lines: &str) -> Vec<String> {
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
