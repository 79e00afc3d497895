//! Rightly signed bodies that are no event: each is kept as it came, told of, and let go of by a
//! person.

use serde_json::json;
use tollgate_domain::ids::EventId;
use tollgate_server::intake::squeeze;
use tollgate_store::inbox::{self, EventFilter, EventRow, EventStatus};

use crate::cli::{Ended, Place};
use crate::support::{Answer, SECRET, TestApp, TestDatabase, on_both};

/// Bodies that are no event, and how each is told.
const BODIES: [(&[u8], &str); 9] = [
    (b"hello", "not_json"),
    (b"{\"id\": \"evt_1\", ", "not_json"),
    (b"\xff\xfe\x00\x01", "not_utf8"),
    (b"", "not_json"),
    (b"[]", "not_an_object"),
    (b"\"evt_1\"", "not_an_object"),
    (b"{\"id\": \"cus_1\", \"object\": \"customer\"}", "not_an_event"),
    (b"{\"id\": \"evt_1\", \"object\": \"event\", \"id\": \"evt_2\"}", "repeated_field"),
    (
        b"{\"id\": \"evt_1\", \"object\": \"event\", \"type\": \"a.b\", \"created\": \"soon\", \"livemode\": false}",
        "bad_created",
    ),
];

/// Delivers bytes signed now.
async fn deliver(app: &TestApp, body: &'static [u8]) -> Answer {
    let secret = tollgate_stripe::SigningSecret::parse(SECRET, "test").expect("a secret");
    let signature = tollgate_stripe::sign(&secret, body, app.now());
    let headers = [("stripe-signature", signature.as_str())];
    app.request("POST", "/webhooks/stripe", &headers, body).await
}

async fn row(app: &TestApp, id: &str) -> EventRow {
    let found = inbox::find(&app.app().engine.db, &EventId::parse(id).expect("an id")).await;
    found.expect("the inbox").remove(0)
}

/// Runs a command beside the server.
async fn command(database: &TestDatabase, line: &str) -> Ended {
    let (place, line) = (Place::on(database), line.to_owned());
    tokio::task::spawn_blocking(move || place.run(&line)).await.expect("a command")
}

on_both! {
    async fn a_signed_body_that_is_no_event_is_kept_and_told_of(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let db = &app.app().engine.db;
        let mut ids = Vec::new();
        for (body, why) in BODIES {
            let answer = deliver(&app, body).await;
            // It is ours now: another status would only make Stripe send it for three days.
            assert_eq!((answer.status, answer.field("status").as_str()), (200, "failed"), "{why}");
            let id = answer.field("eventId");
            let kept = row(&app, &id).await;
            assert_eq!(kept.outcome.status, EventStatus::Dead, "{why}");
            assert_eq!(kept.outcome.reason, Some(format!("no event: {why}")));
            let stored = inbox::body(db, &kept.key).await.expect("the inbox").expect("a body");
            assert_eq!(squeeze::restore(db, &stored).await.expect("as it came"), body);
            ids.push(id);
        }
        let open: Vec<String> = ids.iter().map(|id| format!("event_dead {id}")).collect();
        let sorted = |mut findings: Vec<String>| { findings.sort(); findings };
        assert_eq!(sorted(app.open_findings().await), sorted(open.clone()));
        // Sent again it is the same one, and nobody tries again what cannot succeed.
        deliver(&app, BODIES[0].0).await;
        app.clock.set(app.now().plus_days(1));
        app.run_workers().await;
        let all = inbox::list(db, &EventFilter::default(), None, 100).await.expect("the inbox").0;
        assert_eq!(all.len(), BODIES.len());
        assert_eq!(sorted(app.open_findings().await), sorted(open));
        let health = app.request("GET", "/readyz", &[], "").await;
        assert_eq!((health.status, &health.json()["findings"]["event_dead"]), (200, &json!(BODIES.len())));
        let doctor = command(database, "doctor --json").await;
        assert_eq!(doctor.code, 3, "{doctor:?}");
        assert!(doctor.stdout.contains("event_dead"), "{}", doctor.stdout);
        app.stop().await;
    }

    async fn what_was_given_up_is_let_go_of_by_a_person_with_a_reason(database: &TestDatabase) {
        let app = TestApp::start(database).await;
        let mut ids = Vec::new();
        for (body, _) in &BODIES[..3] {
            ids.push(deliver(&app, body).await.field("eventId"));
        }
        let events = app.scenario("checkout", "acme");
        app.deliver_all(&events).await;
        let (first, alive) = (&ids[0], &events[0].id);
        let said = "--reason sent_by_a_script";

        // Nothing becomes of it by trying again, and the finding stays.
        let again = command(database, &format!("events replay {first}")).await;
        assert!(again.stdout.contains("1 dead"), "{again:?}");
        assert_eq!(app.open_findings().await.len(), 3);
        for (line, code, told) in [
            (format!("events discard {first} --reason short"), 2, "10 to 500"),
            (format!("events discard {alive} {said}"), 1, "only events that were given up"),
            (format!("events discard evt_nowhere {said}"), 1, "there is no event"),
            (format!("events discard {said}"), 2, "name events by id"),
            (format!("events discard --status failed {said}"), 2, "only dead events"),
        ] {
            let ended = command(database, &line).await;
            assert_eq!(ended.code, code, "{line}: {ended:?}");
            assert!(ended.stderr.contains(told), "{line}: {ended:?}");
        }
        let dry = command(database, &format!("events discard {first} {said} --dry-run --json")).await;
        assert_eq!((dry.code, &dry.json()["events"]), (0, &json!(1)));
        assert_eq!(app.open_findings().await.len(), 3, "nothing has happened");

        let done = command(database, &format!("events discard {first} {said} --by ann --json")).await;
        assert_eq!((done.code, done.json()), (0, json!({"discarded": 1, "ids": [first]})));
        let kept = row(&app, first).await;
        assert_eq!(kept.outcome.status, EventStatus::Ignored);
        assert_eq!(kept.outcome.reason.as_deref(), Some("discarded by ann: sent_by_a_script"));
        assert!(!app.open_findings().await.contains(&format!("event_dead {first}")));
        // Stripe, or whoever it was, may send it again; it was let go of.
        let answer = deliver(&app, BODIES[0].0).await;
        assert_eq!((answer.status, answer.field("status").as_str()), (200, "duplicate"));
        assert_eq!(app.open_findings().await.len(), 2);

        // The rest at once, and nothing else.
        let done = command(database, &format!("events discard --status dead {said} --json")).await;
        assert_eq!(done.json()["discarded"], 2, "{done:?}");
        assert_eq!(app.open_findings().await, Vec::<String>::new());
        assert_eq!(row(&app, alive.as_str()).await.outcome.status, EventStatus::Processed);

        // And it can be taken back.
        command(database, &format!("events replay {first}")).await;
        assert_eq!(row(&app, first).await.outcome.status, EventStatus::Dead);
        assert_eq!(app.open_findings().await, [format!("event_dead {first}")]);
        app.stop().await;
    }
}
