//! What a host that is not Stripe, or Stripe on a bad day, cannot make the client do.

use super::*;

/// What may be on its way beyond what the client reads: the buffers of both ends of a connection.
const ON_THE_WAY: usize = 16 << 20;

#[tokio::test]
async fn a_redirect_is_a_refusal_and_nothing_is_sent_to_where_it_leads() {
    let elsewhere = Scripted::start(vec![Reply::ok("{}"); 10]).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = |to: &str| {
            Reply::Head { status, body: String::new(), headers: Vec::new() }.with("Location", to)
        };
        let away = redirect(&format!("{}/v1/customers", elsewhere.base()));
        let server = Scripted::start(vec![away, redirect("/v1/customers/other")]).await;
        let client = client(&server);
        let error = create(&client).await.unwrap_err();
        let StripeError::Refused { refusal } = &error else { panic!("{error:?}") };
        assert_eq!(refusal.status, status);
        let read = client.call(RETRIEVE, &customers().id("cus_1"), &Form::new(), None).await;
        assert!(matches!(read.unwrap_err(), StripeError::Refused { .. }), "{status}");
        let lines: Vec<_> = server.seen().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, ["POST /v1/customers HTTP/1.1", "GET /v1/customers/cus_1 HTTP/1.1"]);
    }
    assert!(elsewhere.seen().is_empty(), "the key went to another host");
}

#[tokio::test]
async fn a_reply_without_end_is_given_up_at_the_limit() {
    for status in [200, 500] {
        let server = Scripted::start(vec![Reply::EndlessBody(status)]).await;
        let error = create(&client(&server)).await.unwrap_err();
        assert_eq!(error.code(), "stripe_reply_garbled", "{status}");
        assert!(error.to_string().contains("too long"), "{error}");
        assert!(error.may_have_happened());
        let written = server.written_before_the_cut().await;
        let most = exchange::REPLY_BYTES_MAX + ON_THE_WAY;
        assert!((exchange::REPLY_BYTES_MAX..most).contains(&written), "{written}");
    }
}

#[tokio::test]
async fn a_reply_that_announces_more_than_the_limit_is_refused_too() {
    let body = "x".repeat(exchange::REPLY_BYTES_MAX + 1);
    let server = Scripted::start(vec![Reply::ok(&body)]).await;
    assert_eq!(create(&client(&server)).await.unwrap_err().code(), "stripe_reply_garbled");
    let most = "x".repeat(exchange::REPLY_BYTES_MAX);
    let server = Scripted::start(vec![Reply::ok(&most)]).await;
    assert_eq!(create(&client(&server)).await.unwrap().body.len(), exchange::REPLY_BYTES_MAX);
}

#[tokio::test]
async fn a_head_without_end_is_given_up() {
    let server = Scripted::start(vec![Reply::EndlessHead]).await;
    let patience = Patience { tries_max: 1, ..QUICK };
    let client = StripeClient::new(&ClientOptions { patience, ..options(&server) }).unwrap();
    let error = create(&client).await.unwrap_err();
    assert!(matches!(error, StripeError::Unreachable { .. }), "{error:?}");
    let written = server.written_before_the_cut().await;
    assert!(written < ON_THE_WAY, "{written}");
}

#[tokio::test]
async fn a_compressed_reply_is_not_unpacked() {
    let reply = Reply::ok("not gzip").with("Content-Encoding", "gzip");
    let server = Scripted::start(vec![reply]).await;
    assert_eq!(create(&client(&server)).await.unwrap().body, b"not gzip");
    assert_eq!(server.seen()[0].header("accept-encoding"), None);
}
