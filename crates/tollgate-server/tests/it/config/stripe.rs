//! Keys and secrets of Stripe's: which are taken, and where they may go.

use tollgate_server::config::Livemode;

use super::Place;

#[test]
fn a_key_of_the_other_mode_is_refused_both_ways() {
    for (key, mode) in [("sk_live_tollgate1", "test"), ("rk_test_tollgate1", "live")] {
        let place = Place::new()
            .variable("STRIPE_SECRET_KEY", key)
            .variable("TOLLGATE__STRIPE__MODE", mode);
        let faults = place.faults();
        assert!(faults[0].contains(&format!("stripe.mode is {mode}")), "{faults:#?}");
        assert!(!faults[0].contains("tollgate1"), "{faults:#?}");
    }
    let place = Place::new().variable("STRIPE_SECRET_KEY", "sk_live_tollgate1");
    assert_eq!(place.load().unwrap().config.stripe.mode, Some(Livemode::Live));
}

#[test]
fn a_webhook_secret_without_stripes_prefix_is_a_notice_and_no_refusal() {
    let place = Place::new()
        .variable("STRIPE_WEBHOOK_SECRET", "tollgate_no_prefix_1,whsec_tollgate_config_1");
    let loaded = place.load().unwrap();
    assert_eq!(loaded.config.webhook_secrets.len(), 2);
    let told: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("STRIPE_WEBHOOK_SECRET: ") && told[0].contains("begin with whsec_"));
    assert!(!told[0].contains("no_prefix"), "{told:#?}");
}

#[test]
fn a_live_key_follows_no_file_to_a_host_that_is_not_stripes() {
    let elsewhere = "STRIPE_API_BASE=https://stripe.example.com\n";
    let in_toml = "[stripe]\napi_base = \"https://stripe.example.com\"\n";
    for key in ["sk_live_tollgate1", "rk_live_tollgate1"] {
        for (name, text) in [(".env", elsewhere), ("tollgate.toml", in_toml)] {
            let place = || Place::new().file(name, text);
            let faults = place().variable("STRIPE_SECRET_KEY", key).faults();
            assert_eq!(faults.len(), 1, "{faults:#?}");
            assert!(
                faults[0].contains("would be sent to https://stripe.example.com"),
                "{faults:#?}"
            );
            assert!(!faults[0].contains("tollgate1"), "{faults:#?}");
            let test_key = place().variable("STRIPE_SECRET_KEY", "sk_test_tollgate1");
            assert!(test_key.load().is_ok());
            let vouched = place()
                .variable("STRIPE_SECRET_KEY", key)
                .variable("TOLLGATE__STRIPE__LIVE_KEY_ELSEWHERE", "true");
            assert!(vouched.load().unwrap().config.stripe.api_base.takes_live_keys());
        }
    }
}

#[test]
fn no_file_can_say_that_a_live_key_may_go_elsewhere() {
    let toml = "[stripe]\nlive_key_elsewhere = true\n";
    let dotenv = "TOLLGATE__STRIPE__LIVE_KEY_ELSEWHERE=true\n";
    for (name, text) in [("tollgate.toml", toml), (".env", dotenv)] {
        let faults = Place::new()
            .file(name, text)
            .variable("STRIPE_SECRET_KEY", "sk_live_tollgate1")
            .variable("STRIPE_API_BASE", "https://stripe.example.com")
            .faults();
        let all = faults.join("\n");
        assert!(all.contains("live_key_elsewhere cannot be set by a file"), "{all}");
        assert!(all.contains("would be sent to"), "{all}");
    }
}

#[test]
fn several_secrets_are_taken_for_rotation() {
    let place =
        Place::new().variable("STRIPE_WEBHOOK_SECRET", "whsec_tollgate_a, whsec_tollgate_b\n");
    let config = place.load().unwrap().config;
    let texts: Vec<&str> = config.webhook_secrets.iter().map(|one| one.secret.expose()).collect();
    assert_eq!(texts, ["whsec_tollgate_a", "whsec_tollgate_b"]);
    assert_eq!(config.signing_secrets().len(), 2);
    let place = Place::new().file(
        "tollgate.toml",
        "[stripe]\nwebhook_secrets = [\"whsec_tollgate_a\", { secret = \"whsec_tollgate_b\", label = \"old\", not_after = 2026-12-01T00:00:00Z }]\n",
    );
    let secrets = place.load().unwrap().config.signing_secrets();
    assert_eq!(secrets[1].label(), "old");
    assert_eq!(secrets[1].not_after().unwrap().to_string(), "2026-12-01T00:00:00Z");
}
