//! Variables that name files, and variables and files of the process or of `.env`.

use super::Place;

#[test]
fn secrets_come_from_files_that_variables_name() {
    let place = Place::new()
        .file("key", "sk_test_tollgate_from_a_file\n")
        .file("hooks", "whsec_tollgate_first_of_file,whsec_tollgate_second_of_file\r\n")
        .file("url", "postgres://u:p@127.0.0.1/t\n")
        .file(
            ".env",
            "STRIPE_WEBHOOK_SECRET_FILE=hooks\nSTRIPE_SECRET_KEY=sk_test_tollgate_dotenv\n",
        )
        .variable("STRIPE_SECRET_KEY_FILE", "key")
        .variable("TOLLGATE__DATABASE__URL_FILE", "url");
    let loaded = place.load().unwrap();
    let config = &loaded.config;
    let key = config.stripe.secret_key.as_ref().unwrap();
    assert_eq!(key.expose(), "sk_test_tollgate_from_a_file", "the process goes before .env");
    assert_eq!(config.database_url.expose(), "postgres://u:p@127.0.0.1/t");
    let hooks: Vec<&str> = config.webhook_secrets.iter().map(|one| one.secret.expose()).collect();
    assert_eq!(hooks, ["whsec_tollgate_first_of_file", "whsec_tollgate_second_of_file"]);
    let shown = loaded.shown.iter().find(|one| one.key == "stripe.secret_key").unwrap();
    assert_eq!(shown.value.as_deref(), Some("sk_test_****"));
    let origin = shown.origin.to_string();
    assert!(origin.starts_with("STRIPE_SECRET_KEY_FILE (") && origin.ends_with("key)"), "{origin}");
}

#[test]
fn a_file_of_a_secret_that_cannot_be_used_is_refused_by_name_and_nothing_in_it_is_told() {
    let with = |text: &str| {
        let place = Place::new().file("key", text).variable("STRIPE_SECRET_KEY_FILE", "key");
        place.faults().join("\n")
    };
    let missing = Place::new().variable("STRIPE_SECRET_KEY_FILE", "nowhere").faults().join("\n");
    assert!(missing.contains("STRIPE_SECRET_KEY_FILE") && missing.contains("nowhere"), "{missing}");
    assert!(missing.contains("cannot be read"), "{missing}");
    assert!(with("\n").contains("the file is empty"));
    let large = "sk_test_tollgate_private".repeat(1_000);
    for (text, told) in [
        ("sk_test_tollgate_private\nmore", "more than one line"),
        ("pk_test_tollgate_private", "is the publishable key"),
        (large.as_str(), "more than 16384 bytes"),
    ] {
        let fault = with(text);
        assert!(fault.contains(told) && fault.contains("mend:"), "{fault}");
        assert!(!fault.contains("private"), "{fault}");
    }
}

#[test]
fn a_secret_and_a_file_of_it_are_refused_where_neither_goes_before_the_other() {
    let both = Place::new().file("key", "sk_test_tollgate_a_file");
    let both = both.variable("STRIPE_SECRET_KEY_FILE", "key");
    let faults = both.variable("STRIPE_SECRET_KEY", "sk_test_tollgate_variable").faults();
    let told = "STRIPE_SECRET_KEY and STRIPE_SECRET_KEY_FILE are both set";
    assert!(faults[0].contains(told), "{faults:?}");
    let in_one_file = Place::new()
        .file(".env", "STRIPE_SECRET_KEY=sk_test_tollgate\nSTRIPE_SECRET_KEY_FILE=key\n");
    assert!(in_one_file.faults()[0].contains(told));
    // The process goes before `.env`: its own variable before a file that `.env` names.
    let process = Place::new()
        .file(".env", "STRIPE_SECRET_KEY_FILE=nowhere\n")
        .variable("STRIPE_SECRET_KEY", "sk_test_tollgate_variable");
    let key = process.load().unwrap().config.stripe.secret_key.unwrap();
    assert_eq!(key.expose(), "sk_test_tollgate_variable");

    let faults = Place::new().variable("TOLLGATE__SERVER__LISTEN_FILE", "key").faults();
    assert!(faults[0].contains("only secrets and addresses of databases"), "{faults:?}");
    let faults = Place::new().variable("TOLLGATE__STRIPE__SECRET_FILE", "key").faults();
    assert!(faults[0].contains("no setting is called"), "{faults:?}");
}

#[cfg(unix)]
#[test]
fn a_file_of_a_secret_that_others_can_read_is_told_of_unless_systemd_guards_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new().file("key", "sk_test_tollgate_a_file");
    let place = place.variable("STRIPE_SECRET_KEY_FILE", "key");
    let told = |place: &Place, mode| {
        let key = place.directory.path().join("key");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = place.load().unwrap().warnings;
        warnings.iter().filter(|one| one.to_string().contains("readable by others")).count()
    };
    assert_eq!((told(&place, 0o640), told(&place, 0o600)), (1, 0));
    let folder = place.directory.path().to_str().unwrap().to_owned();
    let place = place.variable("CREDENTIALS_DIRECTORY", &folder);
    assert_eq!(told(&place, 0o440), 0);
}
