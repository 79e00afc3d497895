//! The schema and its migrations.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use tollgate_domain::change::Change;
use tollgate_domain::ids::FactId;
use tollgate_domain::operator_fact::{Effect, OperatorFact, OverrideEffect};
use tollgate_store::{Db, DbOptions, Durability, StoreError, migrations};

use crate::database::{ROLE_PASSWORD, as_role, on_empty_postgres, start};
use crate::facts::save;
use crate::life;
use crate::sample::{self, Source, account};

/// Whether a line of a plan reads a table from one end to the other. In SQLite's plans what is
/// scanned may also be the batch (`r`) or a subquery.
fn reads_a_whole_table(line: &str) -> bool {
    if line.contains("Seq Scan on") {
        return true;
    }
    let Some(name) = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()) else {
        return false;
    };
    let subquery = [
        "r", "s", "due", "turns", "ranked", "mine", "matter", "paid", "billed", "settled", "found",
        "spans", "near", "unended", "ended", "adjusted", "CONSTANT",
    ]
    .contains(&name)
        || name.starts_with("(subquery");
    !subquery && !line.contains(" USING ")
}

/// The number of the newest migration.
async fn newest(db: &Db) -> u32 {
    migrations::status(db).await.unwrap().last().unwrap().version
}

on_both! {
    every_statement_is_accepted: |db| async {
        let count = db.prepare_all().await.unwrap();
        assert!(count > 50, "{count} statements are registered");
    }

    the_schema_goes_up_and_down_and_up: |db| async {
        let newest = newest(db).await;
        let falling: Vec<u32> = (1..=newest).rev().collect();
        assert_eq!(migrations::down(db, 0).await.unwrap(), falling);
        let older = migrations::check(db).await.unwrap_err();
        assert!(matches!(older, StoreError::SchemaOlder { found: 0, .. }), "{older}");
        assert!(migrations::plan(db).await.unwrap().contains("CREATE TABLE accounts"));
        assert_eq!(migrations::up(db, start()).await.unwrap(), (1..=newest).collect::<Vec<_>>());
        assert!(migrations::up(db, start()).await.unwrap().is_empty());
        assert_eq!(migrations::plan(db).await.unwrap(), "");
        migrations::check(db).await.unwrap();
        db.prepare_all().await.unwrap();
    }

    one_step_back_leaves_the_others: |db| async {
        let newest = newest(db).await;
        assert_eq!(migrations::down(db, newest - 1).await.unwrap(), [newest]);
        let status = migrations::status(db).await.unwrap();
        let missing: Vec<u32> =
            status.iter().filter(|step| step.applied_at.is_none()).map(|step| step.version).collect();
        assert_eq!(missing, [newest]);
        assert_eq!(status[0].applied_at, Some(start()));
        let older = migrations::check(db).await.unwrap_err();
        assert!(older.to_string().contains("tollgate migrate up"), "{older}");
    }

    a_newer_schema_is_refused: |db| async {
        let known = newest(db).await;
        db.sql("INSERT INTO schema_migrations (version, name, applied_at) VALUES (9000, 'later', 0)")
            .await;
        for refusal in [
            migrations::check(db).await.unwrap_err(),
            migrations::up(db, start()).await.unwrap_err(),
            migrations::down(db, 0).await.unwrap_err(),
        ] {
            assert!(
                matches!(refusal, StoreError::SchemaNewer { found: 9000, known: k } if k == known),
                "{refusal}"
            );
            assert!(refusal.to_string().contains("9000"), "{refusal}");
        }
    }

    a_database_of_a_development_version_is_refused: |db| async {
        db.sql("UPDATE schema_migrations SET name = 'facts' WHERE version = 1").await;
        for refusal in [
            migrations::check(db).await.unwrap_err(),
            migrations::up(db, start()).await.unwrap_err(),
        ] {
            let told = refusal.to_string();
            assert!(told.contains("begin with an empty one"), "{told}");
        }
    }

    no_statement_of_the_intake_reads_a_whole_table: |db| async {
        let wanted = [
            "accounts::LOCK", "accounts::UPDATE", "accounts::REPLACE", "accounts::HEADS", "accounts::INSERT", "accounts::REVISIONS", "accounts::BY_EMAIL",
            "links::",
            "facts::load::", "facts::save::",
            "inbox::intake::", "inbox::work::CLAIM", "inbox::wake::WAKE", "inbox::wake::RUN",
            "inbox::wake::DONE",
            "inbox::read::FIND", "inbox::read::LIST", "inbox::read::STATS", "inbox::read::COUNT_OPEN",
            "inbox::read::IGNORED_SINCE", "journal::",
            "changes::", "schedule::", "usage::",
            "retention::", "checkout_attempts::", "customer_claims::", "stripe_requests::", "thin_events::NOTE",
            "thin_events::ENDED", "thin_events::LOOKED", "thin_events::TWINS", "thin_events::OPEN",
            "thin_events::SETTLE", "thin_events::ASK_INSTEAD", "thin_events::MAKE_DUE",
            "thin_events::REMOVE", "inbox::wake::LOOK_BACK",
        ];
        let mut seen = 0;
        let mut faults = Vec::new();
        for (name, plan) in db.explain_all().await.unwrap() {
            let name = name.trim_start_matches("tollgate_store::");
            // The net under the wakes looks at all that waits, a few times an hour.
            let is_net = name == "inbox::wake::LOOK_BACK_AT_ALL";
            if is_net || !wanted.iter().any(|wanted| name.starts_with(wanted)) {
                continue;
            }
            seen += 1;
            let scans = plan.lines().filter(|line| reads_a_whole_table(line.trim_start()));
            let scans: Vec<&str> = scans.collect();
            if !scans.is_empty() {
                faults.push(format!("{name}: {scans:?}\n{plan}"));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
        assert!(seen > 40, "{seen}");
    }

    a_statement_that_cannot_be_explained_leaves_nothing_on_its_connection: |db| async {
        if db.engine() != "postgres" {
            return;
        }
        let one = db.reopen_with(&DbOptions { connections_max: 1, ..DbOptions::default() }).await;
        // Preparing reads it, and only planning meets the division.
        db.sql("ALTER TABLE accounts RENAME TO accounts_kept; CREATE VIEW accounts AS \
            SELECT * FROM accounts_kept WHERE 1 / 0 = 1").await;
        let failed = one.explain_all().await.unwrap_err();
        assert!(!failed.to_string().is_empty());
        db.sql("DROP VIEW accounts; ALTER TABLE accounts_kept RENAME TO accounts").await;
        let plans = one.explain_all().await.unwrap();
        assert!(!plans.is_empty());
        one.close().await;
    }

    no_load_of_facts_reads_a_whole_kind: |db| async {
        // PostgreSQL chooses by what is there.
        for number in 0..20 {
            save(db, &[(account(&format!("acct-{number}")), life::over(200))]).await.unwrap();
        }
        if db.engine() == "postgres" {
            db.sql("ANALYZE").await;
        }
        let plans = db.explain_all().await.unwrap();
        let loads = plans.iter().filter(|(name, _)| {
            name.ends_with("facts::load::WINDOW") || name.ends_with("facts::load::TOUCHED")
        });
        let mut seen = 0;
        for (name, plan) in loads {
            seen += 1;
            // On PostgreSQL what an index is asked for stands below its scan; the least reference is
            // read from the index alone, and is one entry.
            let lines: Vec<&str> = plan.lines().collect();
            let below = lines.windows(2).filter(|two| two[1].contains("Index Cond"));
            let alone = |two: &[&str]| two[0].contains("Index Only Scan using facts_reference");
            let asked = below.filter(|two| !alone(two)).map(|two| two[1]);
            let asked = asked.chain(lines.iter().copied().filter(|line| line.contains("SEARCH")));
            // What SQLite has read already it finds again by an index of its own.
            let asked = asked.filter(|line| !line.contains("AUTOMATIC"));
            let narrow = |line: &str| line.contains("fact_id") || line.contains("reference");
            let whole: Vec<&str> = asked.filter(|line| line.contains("kind") != narrow(line)).collect();
            assert!(whole.is_empty(), "{name}: {whole:?}\n{plan}");
        }
        assert_eq!(seen, 2);
    }

    no_load_of_facts_reads_another_account: |db| async {
        // With few accounts, each with a long past, reading all of them looks cheap to PostgreSQL.
        for name in ["acme", "borealis"] {
            save(db, &[(account(name), life::over(400))]).await.unwrap();
        }
        if db.engine() == "postgres" {
            db.sql("ANALYZE").await;
        }
        let loads = ["WINDOW", "BEFORE", "WHOLE", "TOUCHED"].map(|name| format!("facts::load::{name}"));
        let mut seen = 0;
        for (name, plan) in db.explain_all().await.unwrap() {
            if !loads.iter().any(|load| name.ends_with(load.as_str())) {
                continue;
            }
            seen += 1;
            assert!(!plan.contains("Gather"), "{name} starts workers:\n{plan}");
            let mut lines = plan.lines().peekable();
            while let Some(line) = lines.next() {
                let asked = if line.contains(" on facts ") {
                    // What PostgreSQL asks an index for stands below its scan.
                    lines.peek().filter(|below| below.contains("Index Cond")).copied().unwrap_or("")
                } else if line.contains("SEARCH ") && !line.contains("AUTOMATIC") {
                    line
                } else {
                    continue;
                };
                assert!(asked.contains("account_id"), "{name}: {line}\n{plan}");
            }
        }
        assert_eq!(seen, loads.len());
    }

    commits_are_durable_by_default: |db| async {
        assert_eq!(db.durability().await.unwrap(), Durability::Full);
        db.ping().await.unwrap();
    }

    the_views_can_be_read: |db| async {
        for view in [
            "v_accounts", "customers", "subscriptions", "subscription_states",
            "subscription_invoices", "purchases", "payment_adjustments", "operator_facts",
            "fee_waivers", "grants", "boosts", "overrides", "v_billing_audit_log", "v_billing_events", "v_webhook_events",
        ] {
            db.sql(&format!("SELECT * FROM {view}")).await;
        }
    }

    each_kind_of_operator_fact_has_a_view: |db| async {
        let drawn = Source::new().draw(&vec(sample::operator_fact(), 40));
        let given: BTreeMap<FactId, OperatorFact> =
            drawn.into_iter().map(|fact| (fact.id.clone(), fact)).collect();
        let mut changes = vec![sample::paid("pi_1")];
        changes.extend(given.values().cloned().map(Change::SaveOperatorFact));
        save(db, &[(account("acme"), changes)]).await.unwrap();
        for (view, is_shown) in [
            ("operator_facts", (|_| true) as fn(&Effect) -> bool),
            ("fee_waivers WHERE plan <> ''", |effect| matches!(effect, Effect::Waiver { .. })),
            ("grants WHERE plan <> ''", |effect| matches!(effect, Effect::Grant { .. })),
            ("boosts WHERE boost_count >= 0", |effect| matches!(effect, Effect::Boost { .. })),
            ("overrides WHERE feature <> ''", |effect| matches!(effect, Effect::Override { .. })),
            (
                "overrides WHERE effect = 'on'",
                |effect| matches!(effect, Effect::Override { what: OverrideEffect::On, .. }),
            ),
        ] {
            let shown = given.values().filter(|fact| is_shown(&fact.effect)).count();
            assert!(shown > 0, "{view}");
            let counted = db.number(&format!("SELECT COUNT(*) FROM {view}")).await;
            assert_eq!(counted, i64::try_from(shown).unwrap(), "{view}");
        }
        for column in ["reason", "granted_by", "granted_at", "expires_at", "revoked_at", "revoked_by"] {
            let filled = format!("SELECT COUNT(*) FROM operator_facts WHERE {column} IS NOT NULL");
            assert!(db.number(&filled).await > 0, "{column}");
        }
    }
}

/// Runs migrations on four connections at once; each version must be applied by exactly one.
async fn four_start_at_once(url: &str) {
    let mut starts = Vec::new();
    for _ in 0..4 {
        let url = url.to_owned();
        starts.push(tokio::spawn(async move {
            let options =
                DbOptions { acquire_timeout: Duration::from_secs(30), ..DbOptions::default() };
            let db = Db::open(&url, &options).await.unwrap();
            let applied = migrations::up(&db, start()).await.unwrap();
            migrations::check(&db).await.unwrap();
            db.close().await;
            applied
        }));
    }
    let mut applied = Vec::new();
    for start in starts {
        applied.extend(start.await.unwrap());
    }
    applied.sort_unstable();
    let expected: Vec<u32> =
        (1..=applied.len()).map(|version| u32::try_from(version).unwrap()).collect();
    assert_eq!(applied, expected);
    assert!(!applied.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_migrate_one_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    four_start_at_once(&format!("sqlite:{}", folder.path().join("test.db").display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_migrate_one_postgres_database() {
    on_empty_postgres(async |url: &str| four_start_at_once(url).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_may_not_be_read_is_no_schema_of_ours() {
    on_empty_postgres(async |url: &str| {
        let owner = Db::open(url, &DbOptions::default()).await.unwrap();
        migrations::up(&owner, start()).await.unwrap();
        owner.close().await;
        let role = format!("reader_{}", std::process::id());
        let admin = sqlx::PgPool::connect(url).await.unwrap();
        let run = async |sql: String| {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&admin).await.unwrap();
        };
        run(format!("CREATE ROLE {role} LOGIN PASSWORD '{ROLE_PASSWORD}'")).await;
        run(format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")).await;
        let reader = Db::open(&as_role(url, &role), &DbOptions::default()).await.unwrap();
        migrations::check(&reader).await.unwrap();
        for table in ["webhook_events", "facts", "journal_anchors"] {
            run(format!("REVOKE SELECT ON {table} FROM {role}")).await;
            let refused = migrations::check(&reader).await.unwrap_err().to_string();
            assert!(refused.contains(&format!("permission denied for table {table}")), "{refused}");
            run(format!("GRANT SELECT ON {table} TO {role}")).await;
        }
        reader.close().await;
        run(format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")).await;
        run(format!("DROP ROLE {role}")).await;
        admin.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weak_settings_of_postgres_are_named() {
    on_empty_postgres(async |url: &str| {
        let url = format!("{url}?options=-c%20synchronous_commit%3Doff");
        let db = Db::open(&url, &DbOptions::default()).await.unwrap();
        let weak = Durability::Weak { setting: "synchronous_commit", value: "off".to_owned() };
        assert_eq!(db.durability().await.unwrap(), weak);
        db.close().await;
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_sqlite_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let db = Db::open(&format!("sqlite:{}", path.display()), &DbOptions::default()).await.unwrap();
    migrations::up(&db, start()).await.unwrap();
    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    db.close().await;
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_explained_without_showing_it() {
    let options = DbOptions { create_if_missing: false, ..DbOptions::default() };
    for url in ["mysql://root:hunter2@host/db", "postgres://user:hunter2@ho st:port/x", "sqlite:"] {
        let refusal = Db::open(url, &options).await.unwrap_err();
        assert!(matches!(refusal, StoreError::Address { .. }), "{url}: {refusal}");
        assert!(!refusal.to_string().contains("hunter2"), "{refusal}");
    }
    let nowhere = Db::open("sqlite:/nowhere/at/all.db", &options).await.unwrap_err();
    assert!(nowhere.is_unavailable(), "{nowhere}");
}

#[tokio::test]
async fn a_server_that_is_away_is_unavailable_in_time() {
    let options = DbOptions {
        acquire_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_millis(300),
        ..DbOptions::default()
    };
    // Port 1 of this machine refuses connections.
    let refusal = Db::open("postgres://tollgate@127.0.0.1:1/tollgate", &options).await.unwrap_err();
    assert!(refusal.is_unavailable(), "{refusal}");
}
