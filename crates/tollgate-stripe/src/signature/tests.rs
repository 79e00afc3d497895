//! The rules of the header, one by one, and that nothing makes the reader panic.

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_700_000_000;
const BODY: &[u8] = br#"{"id":"evt_1"}"#;
/// HMAC-SHA256 of `1700000000.{"id":"evt_1"}` under `whsec_tollgate_vector`, computed with another
/// implementation.
const VECTOR: &str = "c9852327316c55b9813c57bc74ea486aebaec8036e446d99beeaa85d824f0b7c";

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(text, "test").unwrap()
}

fn ours() -> SigningSecret {
    secret("whsec_tollgate_vector")
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds)
}

fn check(header: &str) -> Result<Verified, SignatureError> {
    verify(header.as_bytes(), BODY, &[ours()], at(NOW), TOLERANCE)
}

fn check_at(now: i64, signed: i64) -> Result<Verified, SignatureError> {
    verify(sign(&ours(), BODY, at(signed)).as_bytes(), BODY, &[ours()], at(now), TOLERANCE)
}

#[test]
fn the_signature_is_the_one_other_implementations_make() {
    assert_eq!(sign(&ours(), BODY, at(NOW)), format!("t={NOW},v1={VECTOR}"));
    assert_eq!(
        check(&format!("t={NOW},v1={VECTOR}")),
        Ok(Verified { signed_at: at(NOW), secret_index: 0 })
    );
}

#[test]
fn headers_are_read_as_the_official_libraries_read_them_or_more_strictly() {
    use SignatureError::{Malformed, Mismatch, MissingHeader, NoV1};
    let wrong = "0".repeat(64);
    let upper = VECTOR.to_uppercase();
    let (start, end) = VECTOR.split_at(32);
    let table = [
        ("v1 before t", format!("v1={VECTOR},t={NOW}"), Ok(())),
        ("two v1, the first wrong", format!("t={NOW},v1={wrong},v1={VECTOR}"), Ok(())),
        ("two v1, the last wrong", format!("t={NOW},v1={VECTOR},v1={wrong}"), Ok(())),
        ("v1 that is no hex beside a good one", format!("t={NOW},v1=zz,v1={VECTOR}"), Ok(())),
        ("a trailing pair without =", format!("t={NOW},v1={VECTOR},v2"), Ok(())),
        ("a trailing comma", format!("t={NOW},v1={VECTOR},"), Ok(())),
        ("an unknown scheme", format!("t={NOW},v9={wrong},v1={VECTOR}"), Ok(())),
        ("a wrong v0 beside a good v1", format!("t={NOW},v1={VECTOR},v0={wrong}"), Ok(())),
        ("upper-case hex", format!("t={NOW},v1={upper}"), Ok(())),
        ("a leading zero in t", format!("t=0{NOW},v1={VECTOR}"), Ok(())),
        ("a space after the comma", format!("t={NOW}, v1={VECTOR}"), Err(NoV1)),
        ("a space before t", format!(" t={NOW},v1={VECTOR}"), Err(Malformed)),
        ("a space inside the signature", format!("t={NOW},v1={start} {end}"), Err(NoV1)),
        ("only v0", format!("t={NOW},v0={VECTOR}"), Err(NoV1)),
        ("no v1", format!("t={NOW}"), Err(NoV1)),
        ("an empty v1", format!("t={NOW},v1="), Err(NoV1)),
        ("a v1 cut short", format!("t={NOW},v1={start}"), Err(NoV1)),
        ("a v1 with more after it", format!("t={NOW},v1={VECTOR}00"), Err(NoV1)),
        ("a wrong v1", format!("t={NOW},v1={wrong}"), Err(Mismatch)),
        ("no t", format!("v1={VECTOR}"), Err(Malformed)),
        ("an empty t", format!("t=,v1={VECTOR}"), Err(Malformed)),
        ("two equal t", format!("t={NOW},t={NOW},v1={VECTOR}"), Err(Malformed)),
        ("two t, the first right", format!("t={NOW},t=1,v1={VECTOR}"), Err(Malformed)),
        ("two t, the last right", format!("t=1,t={NOW},v1={VECTOR}"), Err(Malformed)),
        ("a plus sign", format!("t=+{NOW},v1={VECTOR}"), Err(Malformed)),
        ("a minus sign", format!("t=-1,v1={VECTOR}"), Err(Malformed)),
        ("a fraction", format!("t={NOW}.0,v1={VECTOR}"), Err(Malformed)),
        ("thirteen digits", format!("t=000{NOW},v1={VECTOR}"), Err(Malformed)),
        ("digits of another script", format!("t=١٧,v1={VECTOR}"), Err(Malformed)),
        ("nothing", String::new(), Err(MissingHeader)),
        ("no pairs at all", "hello".to_owned(), Err(Malformed)),
    ];
    for (case, header, expected) in table {
        assert_eq!(check(&header).map(|_| ()), expected, "{case}");
    }
}

#[test]
fn the_time_is_bounded_on_both_sides_and_looked_at_last() {
    for (now, expected) in [
        (NOW, Ok(())),
        (NOW + 300, Ok(())),
        (NOW - 300, Ok(())),
        (NOW + 301, Err(SignatureError::TooOld)),
        (NOW - 301, Err(SignatureError::InFuture)),
    ] {
        assert_eq!(check_at(now, NOW).map(|_| ()), expected, "{now}");
    }
    assert_eq!(check_at(NOW, 0).map(|_| ()), Err(SignatureError::TooOld));
    assert_eq!(check_at(NOW, 999_999_999_999).map(|_| ()), Err(SignatureError::InFuture));
    // A forger learns nothing about our clock.
    assert_eq!(check(&format!("t=1,v1={}", "0".repeat(64))), Err(SignatureError::Mismatch));
}

#[test]
fn a_change_of_any_byte_of_the_body_breaks_the_signature() {
    let header = sign(&ours(), BODY, at(NOW));
    for index in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[index] ^= 1;
        let answer = verify(header.as_bytes(), &body, &[ours()], at(NOW), TOLERANCE);
        assert_eq!(answer, Err(SignatureError::Mismatch), "byte {index}");
    }
    for body in [&BODY[1..], &BODY[..BODY.len() - 1], b""] {
        let answer = verify(header.as_bytes(), body, &[ours()], at(NOW), TOLERANCE);
        assert_eq!(answer, Err(SignatureError::Mismatch));
    }
}

#[test]
fn any_secret_may_match_until_its_end() {
    let old = secret("whsec_tollgate_old").until(at(NOW + 10));
    let secrets = [old.clone(), secret("whsec_tollgate_new")];
    let signed = |with: &SigningSecret, now: i64| {
        verify(sign(with, BODY, at(now)).as_bytes(), BODY, &secrets, at(now), TOLERANCE)
            .map(|verified| verified.secret_index)
    };
    assert_eq!(signed(&secrets[0], NOW), Ok(0));
    assert_eq!(signed(&secrets[1], NOW), Ok(1));
    assert_eq!(signed(&secrets[0], NOW + 10), Ok(0));
    assert_eq!(signed(&secrets[0], NOW + 11), Err(SignatureError::Mismatch));
    assert_eq!(signed(&ours(), NOW), Err(SignatureError::Mismatch));

    let header = sign(&old, BODY, at(NOW));
    let late = at(NOW + 11);
    assert_eq!(
        verify(header.as_bytes(), BODY, &[old], late, TOLERANCE),
        Err(SignatureError::NoSecret)
    );
    assert_eq!(
        verify(header.as_bytes(), BODY, &[], late, TOLERANCE),
        Err(SignatureError::NoSecret)
    );
}

#[test]
fn during_a_rotation_the_header_carries_a_signature_of_each_secret() {
    let (old, new) = (secret("whsec_tollgate_old"), secret("whsec_tollgate_new"));
    let both = format!(
        "{},{}",
        sign(&old, BODY, at(NOW)),
        sign(&new, BODY, at(NOW)).split_once(',').unwrap().1
    );
    for only in [old, new] {
        let answer = verify(both.as_bytes(), BODY, &[only], at(NOW), TOLERANCE);
        assert_eq!(answer.map(|verified| verified.secret_index), Ok(0));
    }
}

#[test]
fn sixteen_signatures_are_tried_and_long_headers_are_not_read() {
    let wrong = format!("v1={},", "0".repeat(64));
    let sixteenth = format!("t={NOW},{}v1={VECTOR}", wrong.repeat(15));
    assert!(check(&sixteenth).is_ok());
    let seventeenth = format!("t={NOW},{}v1={VECTOR}", wrong.repeat(16));
    assert_eq!(check(&seventeenth), Err(SignatureError::Mismatch));

    let start = format!("t={NOW},v1={VECTOR},");
    let longest = format!("{start}{}", "x".repeat(HEADER_BYTES_MAX - start.len()));
    assert!(check(&longest).is_ok());
    assert_eq!(check(&format!("{longest}x")), Err(SignatureError::TooLong));
}

#[test]
fn secrets_are_trimmed_and_blank_ones_refused() {
    for blank in ["", " ", "\n", " \t\r\n "] {
        assert_eq!(SigningSecret::parse(blank, "x").unwrap_err(), SecretError::Blank, "{blank:?}");
    }
    let padded = secret(" whsec_tollgate_vector\n");
    assert!(!padded.has_inner_whitespace());
    assert_eq!(sign(&padded, BODY, at(NOW)), sign(&ours(), BODY, at(NOW)));
    let two = secret("whsec_a whsec_b");
    assert!(two.has_inner_whitespace());
    // The whole text is the key: nothing is stripped and nothing is decoded.
    let stripped = secret("tollgate_vector");
    assert_ne!(sign(&stripped, BODY, at(NOW)), sign(&ours(), BODY, at(NOW)));
}

#[test]
fn secrets_do_not_show() {
    let shown = format!("{:?}", ours().until(at(NOW)));
    assert!(shown.contains("test") && shown.contains("redacted"), "{shown}");
    assert!(!shown.contains("whsec") && !shown.contains("vector"), "{shown}");
}

#[test]
fn reasons_are_distinct_labels() {
    use SignatureError::*;
    let all = [NoSecret, MissingHeader, TooLong, Malformed, NoV1, Mismatch, TooOld, InFuture];
    let labels: std::collections::BTreeSet<_> = all.iter().map(|error| error.reason()).collect();
    assert_eq!(labels.len(), all.len());
    assert!(
        labels
            .iter()
            .all(|label| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'1'))
    );
}

proptest! {
    #[test]
    fn no_bytes_verify_or_panic(header in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&header, BODY, &[ours()], at(NOW), TOLERANCE).is_err());
    }

    #[test]
    fn no_header_of_the_right_alphabet_verifies_or_panics(header in "[tv01=,+ 9a-f-]{0,200}") {
        prop_assert!(verify(header.as_bytes(), BODY, &[ours()], at(NOW), TOLERANCE).is_err());
    }

    #[test]
    fn what_is_signed_verifies(body in proptest::collection::vec(any::<u8>(), 0..2000), time in 0i64..999_999_999_999) {
        let header = sign(&ours(), &body, at(time));
        let verified = verify(header.as_bytes(), &body, &[ours()], at(time), TOLERANCE);
        prop_assert_eq!(verified, Ok(Verified { signed_at: at(time).min(Timestamp::MAX), secret_index: 0 }));
    }
}
