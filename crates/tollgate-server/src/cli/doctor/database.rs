//! What the database says. Owns: whether it can be used as it is meant to be. Must not know: Stripe.

use std::collections::BTreeMap;
use std::path::Path;

use tollgate_domain::FindingCode;
use tollgate_store::findings::FindingFilter;
use tollgate_store::{Db, DbOptions, Durability, Pooling, ServerStanding, StoreError};

use super::super::context::{Context, sqlite_path};
use super::{Finding, Severity, fault, fine, look_at_skew, notice};
use crate::config::Config;
use crate::config::load::open_to_others;
use crate::readiness;

/// Objects named for each code of a finding.
const SUBJECTS_SHOWN: usize = 3;

/// Connections that a server keeps for its operators, and others may need.
const CONNECTIONS_SPARED: i64 = 5;

/// What is found is there even where the look is given up; `usable` is set to a database whose schema is
/// ours.
pub(super) async fn look_at_database(
    context: &Context,
    config: &Config,
    findings: &mut Vec<Finding>,
    usable: &mut Option<Db>,
) {
    let shown = config.database_url.to_string();
    if let Some(path) = sqlite_path(config.database_url.expose()) {
        if !context.path(&path).exists() {
            findings.push(look_at_place(context, &path, &shown));
            return;
        }
        let mode = open_to_others(&context.path(&path));
        if let Some(mode) = mode.filter(|_| context.path(&path).is_file()) {
            findings.push(notice(
                "files",
                format!("{} is readable by others (mode {mode:03o})", path.display()),
                format!("chmod 600 {0}*", path.display()),
            ));
        }
    }
    let db = match context.connect(config, false).await {
        Ok(db) => db,
        Err(error) => {
            let mend = error.downcast_ref().map_or("see what the error says", remedy);
            findings.push(fault("database", format!("{error:#}"), mend));
            return;
        }
    };
    findings.push(fine("database", format!("{shown} ({})", db.engine())));
    findings.extend(look_at_server(context, config, &db).await);
    let schema = look_at_schema(context, &db).await;
    let is_ours = schema.severity == Severity::Fine;
    findings.push(schema);
    findings.push(look_at_durability(&db).await);
    findings.extend(look_at_open_findings(&db).await);
    *usable = is_ours.then_some(db);
}

/// Where a database will be made.
fn look_at_place(context: &Context, path: &Path, shown: &str) -> Finding {
    let folder = context.path(path).parent().map(Path::to_path_buf).unwrap_or_default();
    let own = context.path(".tollgate");
    if folder.is_dir() || folder == own {
        return fine("database", format!("{shown} is not there yet; `tollgate serve` makes it"));
    }
    let what = format!("{shown} is not there, nor is its folder {}", folder.display());
    notice("database", what, "check DATABASE_URL; `tollgate serve` tries to make both")
}

/// What to do about a database that cannot be opened or used.
fn remedy(error: &StoreError) -> &'static str {
    match error {
        StoreError::SchemaNewer { .. } => "use the newer Tollgate that made it",
        StoreError::SchemaOlder { .. } => "`tollgate migrate up`",
        StoreError::Address { .. } => "correct DATABASE_URL",
        StoreError::Unavailable(_)
        | StoreError::Conflict { .. }
        | StoreError::Contention(_)
        | StoreError::Corrupt { .. }
        | StoreError::Json(_)
        | StoreError::Sql(_) => match error.reason() {
            "access" => {
                "check user, password and database name in DATABASE_URL; `createdb` makes one"
            }
            "too_many_connections" => {
                "raise max_connections there, or lower database.connections_max"
            }
            "full" => "make room on the disk",
            "locked" => "another process holds it: end that, or wait for it",
            "read_only" => "set DATABASE_URL to a server, or a file, that may be written",
            "connection" | "no_connection" | "timeout" | "stopping" => {
                "check host, port and sslmode in DATABASE_URL, and that the server is up"
            }
            "input_output" => "check the disk and the rights of the file",
            _ => {
                "check that it is a database of Tollgate's, whole, and that the role may use its tables"
            }
        },
    }
}

/// Whether the schema is ours and whole, and takes a write.
async fn look_at_schema(context: &Context, db: &Db) -> Finding {
    match readiness::look(db, context.clock.now()).await {
        Ok(()) => fine("schema", "this version's, and it takes writes"),
        Err(error) => fault("schema", error.to_string(), remedy(&error)),
    }
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
        Err(error) => fault("durability", error.to_string(), remedy(&error)),
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
    let mut findings = vec![look_at_writing(&server)];
    if !server.settings_in_force {
        findings.push(fault(
            "postgres",
            "the settings of a session are not in force: a pooler in transaction mode stands between",
            "set database.pooling = \"transaction\"",
        ));
    }
    let pooled = config.database.pooling == Pooling::Transaction;
    match &config.database.listen_url {
        None if pooled => findings.push(notice(
            "postgres",
            "behind a pooler nobody can listen: what other servers change is found by polling alone",
            "set database.listen_url to the server's own address",
        )),
        None => {}
        Some(url) => findings.extend(look_at_listening(url.expose(), &server).await),
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

fn look_at_writing(server: &ServerStanding) -> Finding {
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

/// Whether `database.listen_url` leads to the same database, and past any pooler.
async fn look_at_listening(url: &str, own: &ServerStanding) -> Option<Finding> {
    let mend =
        "set database.listen_url to the address of PostgreSQL itself, with the same database";
    let straight = match Db::open(url, &DbOptions::default()).await {
        Ok(straight) => straight,
        Err(error) => {
            return Some(fault("postgres", format!("database.listen_url: {error}"), mend));
        }
    };
    let asked = straight.server().await;
    straight.close().await;
    let what = match asked {
        Ok(Some(other)) if other.identity == own.identity && other.settings_in_force => {
            return None;
        }
        Ok(Some(other)) if other.identity == own.identity => {
            "database.listen_url leads through a pooler, where nobody can listen".to_owned()
        }
        Ok(_) => "database.listen_url leads to another database than DATABASE_URL".to_owned(),
        Err(error) => format!("database.listen_url: {error}"),
    };
    Some(fault("postgres", what, mend))
}
