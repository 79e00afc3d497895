//! What the database says. Owns: whether it can be used as it is meant to be. Must not know: Stripe.

use std::collections::BTreeMap;

use tollgate_domain::FindingCode;
use tollgate_store::findings::FindingFilter;
use tollgate_store::{Db, Durability, Pooling, ServerStanding, migrations};

use super::super::context::{Context, sqlite_path};
use super::{Finding, fault, fine, look_at_skew, notice, stripe};
use crate::config::Config;
use crate::config::load::open_to_others;

/// Objects named for each code of a finding.
const SUBJECTS_SHOWN: usize = 3;

/// Connections that a server keeps for its operators, and others may need.
const CONNECTIONS_SPARED: i64 = 5;

/// How PgBouncer refuses the settings of a session.
const POOLER_REFUSES: &str = "unsupported startup parameter";

pub(super) async fn look_at_database(context: &Context, config: &Config) -> Vec<Finding> {
    let shown = config.database_url.to_string();
    let mut findings = Vec::new();
    if let Some(path) = sqlite_path(config.database_url.expose()) {
        if !context.path(&path).exists() {
            return vec![fine(
                "database",
                format!("{shown} is not there yet; `tollgate serve` makes it"),
            )];
        }
        if let Some(mode) = open_to_others(&context.path(&path)) {
            findings.push(notice(
                "files",
                format!("{} is readable by others (mode {mode:03o})", path.display()),
                format!("chmod 600 {0}*", path.display()),
            ));
        }
    }
    match context.connect(config, false).await {
        Ok(db) => {
            findings.push(fine("database", format!("{shown} ({})", db.engine())));
            findings.extend(look_at_server(context, config, &db).await);
            findings.extend(look_at_schema(&db).await);
            findings.push(look_at_durability(&db).await);
            findings.extend(look_at_open_findings(&db).await);
            findings.extend(stripe::look_at_key(context, config, &db).await);
            db.close().await;
        }
        Err(error) => {
            let what = format!("{error:#}");
            let mend = if what.contains(POOLER_REFUSES) {
                "a pooler such as PgBouncer stands between: set database.pooling = \"transaction\""
            } else {
                "check DATABASE_URL and that the server is up"
            };
            findings.push(fault("database", what, mend));
        }
    }
    findings
}

async fn look_at_schema(db: &Db) -> Vec<Finding> {
    let newest = match migrations::check(db).await {
        Ok(()) => return vec![fine("schema", "this version's")],
        Err(error) => error.to_string(),
    };
    vec![fault(
        "schema",
        newest,
        "`tollgate migrate status` tells more, `tollgate migrate up` brings it up",
    )]
}

/// What the engine itself found: one line for each code, with the first objects.
async fn look_at_open_findings(db: &Db) -> Vec<Finding> {
    let filter = FindingFilter { open: true, ..FindingFilter::default() };
    // Without a schema there is nothing to look at; the schema's own line says so.
    let Ok(open) = super::super::findings::list(db, filter).await else { return Vec::new() };
    let mut by_code: BTreeMap<FindingCode, Vec<String>> = BTreeMap::new();
    for one in open {
        by_code.entry(one.finding.code).or_default().push(one.finding.subject);
    }
    let line = |(code, subjects): (FindingCode, Vec<String>)| {
        let first: Vec<&str> = subjects.iter().take(SUBJECTS_SHOWN).map(String::as_str).collect();
        let more = subjects.len().saturating_sub(first.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let what = format!(
            "{} ({}): {} {}{more}",
            code.as_str(),
            subjects.len(),
            code.meaning(),
            first.join(", "),
        );
        notice("findings", what, format!("{} `tollgate findings` tells of each", code.remedy()))
    };
    by_code.into_iter().map(line).collect()
}

async fn look_at_durability(db: &Db) -> Finding {
    match db.durability().await {
        Ok(Durability::Full) => fine("durability", "a commit survives a crash"),
        Ok(Durability::Weak { setting, value }) => fault(
            "durability",
            format!("{setting} is {value}: the database may lose acknowledged events in a crash"),
            format!("change {setting} in the database's configuration"),
        ),
        Err(error) => fault("durability", error.to_string(), "check the database's log"),
    }
}

/// Whether the PostgreSQL server takes writes, keeps the settings it is asked for, has the time right
/// and connections enough.
async fn look_at_server(context: &Context, config: &Config, db: &Db) -> Vec<Finding> {
    let asked = db.server().await;
    let now = context.clock.now();
    let server = match asked {
        Ok(Some(server)) => server,
        Ok(None) => return Vec::new(),
        Err(error) => {
            return vec![fault("postgres", error.to_string(), "check the database's log")];
        }
    };
    let mut findings = vec![look_at_writing(server)];
    if !server.settings_in_force {
        findings.push(fault(
            "postgres",
            "the settings of a session are not in force: a pooler in transaction mode stands between",
            "set database.pooling = \"transaction\"",
        ));
    }
    let pooled = config.database.pooling == Pooling::Transaction;
    if pooled && config.database.listen_url.is_none() {
        findings.push(notice(
            "postgres",
            "behind a pooler nobody can listen: what other servers change is found by polling alone",
            "set database.listen_url to the server's own address",
        ));
    }
    let wanted = i64::from(config.database.connections_max);
    if !pooled && wanted.saturating_add(CONNECTIONS_SPARED) > server.connections_max {
        findings.push(notice(
            "postgres",
            format!(
                "it has {} connections, and each Tollgate takes up to {wanted}",
                server.connections_max
            ),
            "lower database.connections_max, or raise max_connections",
        ));
    }
    findings.push(look_at_skew("PostgreSQL", server.now, now));
    findings
}

fn look_at_writing(server: ServerStanding) -> Finding {
    if server.standby {
        let what = "it is a standby (read_only) and takes no writes";
        return fault("postgres", what, "set DATABASE_URL to the primary, or promote this server");
    }
    if server.read_only {
        let what = "its sessions are read-only (read_only): it takes no writes";
        let mend = "set default_transaction_read_only = off for the database or the role";
        return fault("postgres", what, mend);
    }
    fine("postgres", "it takes writes")
}
