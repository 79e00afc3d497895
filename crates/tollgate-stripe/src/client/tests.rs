//! The client against a server on loopback that answers by script. Owns: what every caller relies
//! on when Stripe is slow, busy, broken or gone.

mod bounds;
mod scripted;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use scripted::{Reply, Scripted};

const KEY: &str = "sk_test_tollgate_client_key";
const CREATE: Operation = Operation::post("customers.create");
const RETRIEVE: Operation = Operation::get("customers.retrieve");

/// Quick waits, so that tests of waiting do not wait.
const QUICK: Patience = Patience {
    tries_max: 3,
    total: Duration::from_secs(20),
    backoff: Duration::from_millis(1),
    throttled_backoff: Duration::from_millis(2),
    backoff_max: Duration::from_millis(5),
    waits_for_breaker: false,
};

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Watch for Notes {
    fn tried(&self, tried: &Tried<'_>) {
        let Tried { operation, number, result, code, request_id, .. } = tried;
        let line = format!("{operation} {number} {} {code:?} {request_id:?}", result.as_str());
        self.0.lock().unwrap().push(line);
    }

    fn held(&self, operation: &'static str, by: &'static str) {
        self.0.lock().unwrap().push(format!("{operation} held by {by}"));
    }

    fn breaker_turned(&self, open: bool) {
        self.0.lock().unwrap().push(format!("breaker open {open}"));
    }
}

fn options(server: &Scripted) -> ClientOptions {
    let base = ApiBase::parse(&server.base()).unwrap();
    ClientOptions { patience: QUICK, ..ClientOptions::new(base, SecretKey::parse(KEY).unwrap()) }
}

fn client(server: &Scripted) -> StripeClient {
    StripeClient::new(&options(server)).unwrap()
}

fn customers() -> ApiPath {
    ApiPath::new("/v1/customers")
}

async fn create(client: &StripeClient) -> Result<Fetched, StripeError> {
    let form =
        Form::new().with("email", "ann@example.com").with_map("metadata", [("account_id", "acme")]);
    client
        .call(CREATE, &customers(), &form, Some(&IdempotencyKey::parse("claim-1.0").unwrap()))
        .await
}

#[tokio::test]
async fn a_live_key_is_not_sent_to_a_host_that_is_not_stripes() {
    let server = Scripted::start(vec![]).await;
    let base = ApiBase::parse(&server.base()).unwrap();
    for key in ["sk_live_tollgate_1", "rk_live_tollgate_1"] {
        let key = SecretKey::parse(key).unwrap();
        let refused = StripeClient::new(&ClientOptions::new(base.clone(), key.clone()));
        assert!(refused.unwrap_err().to_string().contains("not Stripe's"));
        let vouched = base.clone().with_live_keys();
        assert!(StripeClient::new(&ClientOptions::new(vouched, key)).is_ok());
    }
}

#[tokio::test]
async fn a_request_names_version_key_and_account_and_reads_stripes_clock() {
    let server = Scripted::start(vec![Reply::ok(r#"{"id":"cus_1"}"#)]).await;
    let options = ClientOptions { account: Some("acct_7".to_owned()), ..options(&server) };
    let client = StripeClient::new(&options).unwrap();
    assert_eq!(client.mode(), KeyMode::Test);
    let fetched = create(&client).await.unwrap();
    assert_eq!(fetched.body, br#"{"id":"cus_1"}"#);
    assert_eq!(fetched.date.to_string(), "2026-11-21T10:00:00Z");
    assert_eq!(fetched.request_id.as_deref(), Some("req_1"));
    assert!(!fetched.replayed);

    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /v1/customers HTTP/1.1");
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk_test_tollgate_client_key"));
    assert_eq!(seen[0].header("stripe-version"), Some("2026-10-28.endive"));
    assert_eq!(seen[0].header("stripe-account"), Some("acct_7"));
    assert_eq!(seen[0].header("idempotency-key"), Some("claim-1.0"));
    assert_eq!(seen[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen[0].body, "email=ann%40example.com&metadata%5Baccount_id%5D=acme");
}

#[tokio::test]
async fn reads_and_deletions_carry_their_parameters_in_the_query() {
    let server = Scripted::start(vec![Reply::ok("{}"), Reply::ok("{}")]).await;
    let client = client(&server);
    let form = Form::new().expand("subscription");
    client.call(RETRIEVE, &customers().id("cus_1"), &form, None).await.unwrap();
    let cancel = Operation::delete("subscriptions.cancel");
    let form = Form::new().with("prorate", "true");
    client.call(cancel, &ApiPath::new("/v1/subscriptions").id("sub_1"), &form, None).await.unwrap();
    let lines: Vec<_> = server.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/customers/cus_1?expand%5B%5D=subscription HTTP/1.1",
            "DELETE /v1/subscriptions/sub_1?prorate=true HTTP/1.1",
        ]
    );
}

#[tokio::test]
async fn conflicts_overload_failures_and_cuts_are_tried_again_with_the_same_key() {
    for trouble in [
        Reply::error(409, "idempotency_error", "idempotency_key_in_use"),
        Reply::error(429, "invalid_request_error", "rate_limit"),
        Reply::error(500, "api_error", "api_error"),
        Reply::error(503, "api_error", "api_error"),
        Reply::error(400, "invalid_request_error", "lock_timeout")
            .with("Stripe-Should-Retry", "true"),
        Reply::CutBefore,
        Reply::CutWithin,
    ] {
        let server = Scripted::start(vec![trouble.clone(), trouble.clone(), Reply::ok("{}")]).await;
        create(&client(&server)).await.unwrap_or_else(|error| panic!("{trouble:?}: {error}"));
        let keys: Vec<_> = server
            .seen()
            .iter()
            .map(|request| request.header("idempotency-key").map(ToOwned::to_owned))
            .collect();
        assert_eq!(keys, vec![Some("claim-1.0".to_owned()); 3], "{trouble:?}");
        let bodies: Vec<_> = server.seen().into_iter().map(|request| request.body).collect();
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{trouble:?}");
    }
}

#[tokio::test]
async fn refusals_and_what_stripe_says_not_to_retry_end_the_call_at_once() {
    for (status, should_retry) in [
        (400, None),
        (401, None),
        (402, None),
        (403, None),
        (404, None),
        (409, Some("false")),
        (500, Some("false")),
    ] {
        let mut reply = Reply::error(status, "some_error", "some_code");
        if let Some(word) = should_retry {
            reply = reply.with("Stripe-Should-Retry", word);
        }
        let server = Scripted::start(vec![reply, Reply::ok("{}")]).await;
        let error = create(&client(&server)).await.unwrap_err();
        assert_eq!(error.code(), "some_code", "{status}");
        assert_eq!(error.refusal().map(|refusal| refusal.status), Some(status));
        assert_eq!(error.request_id(), Some("req_1"));
        assert_eq!(error.may_have_happened(), status == 500, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_timeout_leaves_it_open_whether_it_happened() {
    let server = Scripted::start(vec![Reply::Silence; 3]).await;
    let options = ClientOptions { try_timeout: Duration::from_millis(200), ..options(&server) };
    let error = create(&StripeClient::new(&options).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "stripe_timeout");
    assert!(error.may_have_happened() && error.is_passing());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn the_whole_call_ends_when_patience_does() {
    let server = Scripted::start(vec![Reply::Silence; 9]).await;
    let patience = Patience { tries_max: 9, total: Duration::from_millis(300), ..QUICK };
    let options =
        ClientOptions { patience, try_timeout: Duration::from_millis(200), ..options(&server) };
    let began = Instant::now();
    let error = create(&StripeClient::new(&options).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "stripe_timeout");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(server.seen().len() <= 3);
}

#[tokio::test]
async fn without_a_connection_nothing_has_happened() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base = ApiBase::parse(&format!("http://{closed}")).unwrap();
    let options = ClientOptions {
        patience: QUICK,
        ..ClientOptions::new(base, SecretKey::parse(KEY).unwrap())
    };
    let error = create(&StripeClient::new(&options).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "stripe_unreachable");
    assert!(!error.may_have_happened());
    assert!(!error.to_string().contains("customers"), "{error}");
}

#[tokio::test]
async fn a_doubt_stays_when_later_tries_are_turned_away_and_goes_with_a_refusal() {
    let busy = Reply::error(429, "invalid_request_error", "rate_limit")
        .with("Stripe-Rate-Limited-Reason", "endpoint-rate");
    let server = Scripted::start(vec![Reply::CutWithin, busy.clone(), busy]).await;
    let error = create(&client(&server)).await.unwrap_err();
    assert!(matches!(error, StripeError::Busy { may_have_happened: true, .. }), "{error:?}");
    assert_eq!(error.refusal().unwrap().limit.as_deref(), Some("endpoint-rate"));

    let refusal = Reply::error(400, "invalid_request_error", "email_invalid");
    let server = Scripted::start(vec![Reply::CutWithin, refusal]).await;
    let error = create(&client(&server)).await.unwrap_err();
    assert!(!error.may_have_happened(), "{error:?}");
}

#[tokio::test]
async fn a_post_without_a_key_is_tried_once() {
    let server =
        Scripted::start(vec![Reply::error(500, "api_error", "api_error"), Reply::ok("{}")]).await;
    let error = client(&server).call(CREATE, &customers(), &Form::new(), None).await.unwrap_err();
    assert!(error.may_have_happened());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn calls_of_one_operation_keep_to_their_rate() {
    let server = Scripted::start(vec![Reply::ok("{}"); 12]).await;
    let rate = NonZeroU32::new(10).unwrap();
    let client =
        StripeClient::new(&ClientOptions { rate_per_second: rate, ..options(&server) }).unwrap();
    let began = Instant::now();
    let calls = (0..12).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            client.call(RETRIEVE, &customers().id("cus_1"), &Form::new(), None).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    // Five at once, then seven more at ten a second.
    assert!(began.elapsed() >= Duration::from_millis(650), "{:?}", began.elapsed());
}

#[tokio::test]
async fn who_cannot_wait_for_the_rate_is_told_for_how_long() {
    let server = Scripted::start(vec![Reply::ok("{}")]).await;
    let patience = Patience { total: Duration::from_millis(100), ..QUICK };
    let options = ClientOptions { rate_per_second: NonZeroU32::MIN, patience, ..options(&server) };
    let client = StripeClient::new(&options).unwrap();
    create(&client).await.unwrap();
    let error = create(&client).await.unwrap_err();
    let StripeError::Held { retry_after, may_have_happened: false } = error else {
        panic!("{error:?}");
    };
    assert!(retry_after > Duration::from_millis(100));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_outage_opens_the_breaker_and_a_probe_closes_it() {
    let fault = Reply::error(500, "api_error", "api_error").with("Stripe-Should-Retry", "false");
    let server =
        Scripted::start(vec![fault.clone(), fault, Reply::ok("{}"), Reply::ok("{}")]).await;
    let notes = Arc::new(Notes::default());
    let watch: Arc<dyn Watch> = notes.clone();
    let breaker = BreakerOptions {
        failures_max: 2,
        pause: Duration::from_millis(500),
        pause_max: Duration::from_millis(500),
    };
    let client = StripeClient::new(&ClientOptions { breaker, watch, ..options(&server) }).unwrap();
    for _ in 0..2 {
        assert_eq!(create(&client).await.unwrap_err().code(), "api_error");
    }
    assert!(matches!(create(&client).await.unwrap_err(), StripeError::Held { .. }));
    assert_eq!(server.seen().len(), 2);
    // A patient caller waits for the pause to end and probes.
    let patient = client.with_patience(Patience { waits_for_breaker: true, ..QUICK });
    create(&patient).await.unwrap();
    create(&client).await.unwrap();
    let notes = notes.0.lock().unwrap();
    assert!(notes.contains(&"breaker open true".to_owned()), "{notes:?}");
    assert!(notes.contains(&"breaker open false".to_owned()), "{notes:?}");
}

#[tokio::test]
async fn every_try_is_told_and_no_secret_is_in_what_is_told_or_printed() {
    let echo = r#"{"error":{"type":"invalid_request_error","code":"api_key_expired",
        "message":"Expired API Key provided: sk_test_tollgate_client_key"}}"#;
    let server = Scripted::start(vec![
        Reply::error(503, "api_error", "api_error"),
        Reply::Head { status: 401, body: echo.to_owned(), headers: Vec::new() },
    ])
    .await;
    let notes = Arc::new(Notes::default());
    let watch: Arc<dyn Watch> = notes.clone();
    let options = ClientOptions { watch, ..options(&server) };
    let client = StripeClient::new(&options).unwrap();
    let error = create(&client).await.unwrap_err();
    let notes = notes.0.lock().unwrap().clone();
    assert_eq!(
        notes,
        [
            "customers.create 1 server_error Some(\"api_error\") Some(\"req_1\")",
            "customers.create 2 refused Some(\"api_key_expired\") Some(\"req_2\")",
        ]
    );
    let printed = format!("{error} {error:?} {client:?} {options:?} {notes:?}");
    assert!(!printed.contains("tollgate_client_key"), "{printed}");
    assert!(!error.to_string().contains("ann@example.com"));
}

#[tokio::test]
async fn replies_that_cannot_be_used_are_no_successes() {
    let dateless = Reply::Dateless("{}".to_owned());
    let server = Scripted::start(vec![dateless, Reply::ok("[1]")]).await;
    let client = client(&server);
    let error = create(&client).await.unwrap_err();
    assert_eq!(error.code(), "stripe_reply_garbled");
    assert!(error.may_have_happened());
    let fetched = create(&client).await.unwrap();
    assert_eq!(fetched.json::<Vec<u8>>().unwrap(), [1]);
    assert!(fetched.json::<String>().is_err());
}

#[tokio::test]
async fn a_replayed_answer_is_known_as_one() {
    let server = Scripted::start(vec![Reply::ok("{}").with("Idempotent-Replayed", "true")]).await;
    assert!(create(&client(&server)).await.unwrap().replayed);
}

#[tokio::test]
async fn a_list_is_walked_to_its_end_or_to_its_cap() {
    let first = r#"{"data":[{"id":"a"},{"id":"b"}],"has_more":true}"#;
    let second = r#"{"data":[{"id":"c","x":1.50}],"has_more":false}"#;
    let replies = vec![Reply::ok(first), Reply::ok(second), Reply::ok(first)];
    let server = Scripted::start(replies).await;
    let client = client(&server);
    let filter = Form::new().with("email", "a@b.c");
    let list = Operation::get("customers.list");
    let (items, more) = client.list(list, &customers(), &filter, 10).await.unwrap();
    let texts: Vec<_> = items.iter().map(|item| item.get()).collect();
    assert_eq!(texts, [r#"{"id":"a"}"#, r#"{"id":"b"}"#, r#"{"id":"c","x":1.50}"#]);
    assert!(!more);
    let (items, more) = client.list(list, &customers(), &filter, 1).await.unwrap();
    assert_eq!((items.len(), more), (1, true));
    let lines: Vec<_> = server.seen().into_iter().map(|request| request.line).collect();
    assert_eq!(lines[0], "GET /v1/customers?email=a%40b.c&limit=100 HTTP/1.1");
    assert_eq!(lines[1], "GET /v1/customers?email=a%40b.c&limit=100&starting_after=b HTTP/1.1");
}

/// Admits the key at the second question, after asking Stripe itself.
#[derive(Debug, Default)]
struct SecondTime(Mutex<u32>);

impl AccountGuard for SecondTime {
    fn admit<'a>(&'a self, client: &'a StripeClient) -> Admission<'a> {
        Box::pin(async move {
            client.call(RETRIEVE, &customers().id("cus_known"), &Form::new(), None).await?;
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            if *asked == 2 {
                return Ok(());
            }
            let why = KeyMismatch::Mode { found: KeyMode::Test, known: KeyMode::Live };
            Err(StripeError::WrongKey { why })
        })
    }
}

#[tokio::test]
async fn nothing_leaves_before_the_guard_admits_the_key_and_it_is_asked_until_then() {
    let server = Scripted::start(vec![Reply::ok("{}"); 5]).await;
    let guard: Arc<dyn AccountGuard> = Arc::new(SecondTime::default());
    let options = ClientOptions { guard: Some(guard), ..options(&server) };
    let client = StripeClient::new(&options).unwrap();
    let refused = create(&client).await.unwrap_err();
    assert_eq!(refused.code(), "stripe_wrong_mode");
    assert!(!refused.may_have_happened() && !refused.is_passing());
    assert!(server.seen().iter().all(|request| request.line.starts_with("GET")));
    create(&client).await.unwrap();
    create(&client.with_patience(Patience::background())).await.unwrap();
    let posts = server.seen().iter().filter(|one| one.line.starts_with("POST")).count();
    assert_eq!((posts, server.seen().len()), (2, 4), "admitted once, it is asked no more");
}

#[tokio::test]
async fn calls_for_a_connected_account_name_it_alone_and_the_guard_judges_our_own() {
    let server = Scripted::start(vec![Reply::ok("{}"); 6]).await;
    let guard: Arc<dyn AccountGuard> = Arc::new(SecondTime(Mutex::new(1)));
    let account = Some("acct_own".to_owned());
    let options = ClientOptions { account, guard: Some(guard), ..options(&server) };
    let client = StripeClient::new(&options).unwrap();
    let connected = client.for_connected("acct_2");
    assert_eq!((client.connected(), connected.connected()), (None, Some("acct_2")));
    create(&connected).await.unwrap();
    create(&client).await.unwrap();
    let seen = server.seen();
    let named = |place: usize| -> Vec<&str> {
        let headers = seen[place].headers.iter();
        headers.filter(|(name, _)| name == "stripe-account").map(|(_, named)| &**named).collect()
    };
    assert_eq!([named(0), named(1), named(2)], [["acct_own"], ["acct_2"], ["acct_own"]]);
    // What cannot be a header's value reaches nobody.
    assert!(create(&client.for_connected("acct_\n")).await.is_err());
    assert_eq!(server.seen().len(), 3);
}
