//! `tollgate keys`. Owns: making and listing API keys from the command line. Must not know: what a
//! key's text looks like (`crate::keys`), how keys are kept.

use clap::{Args, Subcommand};
use tollgate_domain::Timestamp;
use tollgate_domain::ids::AccountId;
use tollgate_store::Db;
use tollgate_store::keys::{self as stored, ApiKey};

use super::at::{self, At};
use super::context::{Context, block_on};
use super::output::{FAINT, STRONG, print_json, print_line, print_note, styled, table};
use super::{Ending, Outcome, Usage};
use crate::config::{Config, Livemode};
use crate::keys::{self, KeyEnvironment, NewKey};
use crate::scope::Scope;

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key; its text is shown once
    Create(CreateArgs),
    /// List keys, revoked and expired ones too
    List,
    /// Make a key with the rights of another; the old one lives until it is revoked
    Rotate {
        /// Id of the old key
        id: String,
    },
    /// Take a key's rights away, within a second everywhere
    Revoke {
        /// Id of the key
        id: String,
    },
}

/// The key wanted.
#[derive(Debug, Args)]
#[command(after_help = "tollgate keys create --name website --scopes check,usage")]
pub(super) struct CreateArgs {
    /// What it is for, as lists and logs call it
    #[arg(long, value_parser = name)]
    name: String,
    /// Its rights: check, usage, billing, stream, admin, admin:read
    #[arg(long, value_delimiter = ',', required = true, value_parser = scope)]
    scopes: Vec<Scope>,
    /// The one account it may ask about
    #[arg(long, value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// When it ends: 2027-01-01T00:00:00Z, +90d
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    expires: Option<At>,
}

fn name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fine =
        !text.is_empty() && text.chars().count() <= 100 && !text.chars().any(char::is_control);
    if fine {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 100 printable characters".to_owned())
    }
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text.trim()).ok_or_else(|| {
        let known: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("there is no such scope; there are {}", known.join(", "))
    })
}

pub(super) fn run(context: &Context, command: KeysCommand) -> Outcome {
    block_on(async {
        let config = context.load()?.config;
        let db = context.open_or_create(&config).await?;
        let done = match command {
            KeysCommand::Create(args) => create(context, &config, &db, args).await,
            KeysCommand::List => list(context, &db).await,
            KeysCommand::Rotate { id } => rotate(context, &config, &db, &id).await,
            KeysCommand::Revoke { id } => revoke(context, &db, &id).await,
        };
        db.close().await;
        done
    })?
}

async fn create(context: &Context, config: &Config, db: &Db, mut args: CreateArgs) -> Outcome {
    args.scopes.sort_unstable();
    args.scopes.dedup();
    let now = context.clock.now();
    let expires_at = args.expires.map(|at| at.instant(now)).transpose()?;
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Usage("--expires lies in the past".to_owned()).into());
    }
    let scopes: Vec<String> = args.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let wanted = Wanted { name: args.name, scopes, account: args.account, expires_at };
    let key = insert(db, environment(context, config), &wanted, now).await?;
    show(context, &key, &wanted)
}

/// A key without its secret.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) account: Option<AccountId>,
    pub(super) expires_at: Option<Timestamp>,
}

/// Makes a key and keeps what is to be kept of it.
pub(super) async fn insert(
    db: &Db,
    environment: KeyEnvironment,
    wanted: &Wanted,
    now: Timestamp,
) -> anyhow::Result<NewKey> {
    let key = keys::generate(environment)?;
    let row = ApiKey {
        id: key.id.clone(),
        name: wanted.name.clone(),
        secret_hash: *key.secret_hash.as_bytes(),
        scopes: wanted.scopes.clone(),
        account: wanted.account.clone(),
        expires_at: wanted.expires_at,
        created_at: now,
        revoked_at: None,
        last_used_at: None,
    };
    stored::insert(db, &row).await?;
    Ok(key)
}

fn environment(context: &Context, config: &Config) -> KeyEnvironment {
    let dev = context.dev_state().ok().flatten();
    if dev.is_some_and(|dev| dev.database_url == config.database_url.expose()) {
        return KeyEnvironment::Dev;
    }
    match config.stripe.mode {
        Some(Livemode::Live) => KeyEnvironment::Live,
        Some(Livemode::Test) | None => KeyEnvironment::Test,
    }
}

fn show(context: &Context, key: &NewKey, wanted: &Wanted) -> Outcome {
    let value = serde_json::json!({
        "id": key.id,
        "key": key.text.expose(),
        "scopes": wanted.scopes,
    });
    context.output.either(&value, || {
        format!(
            "{}\n{}",
            styled(STRONG, key.text.expose()),
            styled(
                FAINT,
                format_args!(
                    "id {}, scopes {}. This is the only time the key is shown.",
                    key.id,
                    wanted.scopes.join(",")
                )
            )
        )
    })?;
    Ok(Ending::Done)
}

async fn list(context: &Context, db: &Db) -> Outcome {
    let now = context.clock.now();
    let keys = stored::list(db).await?;
    let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
    if context.output.is_json() {
        let rows = keys.iter().map(|key| {
            serde_json::json!({
                "id": key.id,
                "name": key.name,
                "scopes": key.scopes,
                "accountId": key.account.as_ref().map(AccountId::as_str),
                "status": status(key, now),
                "createdAt": key.created_at.to_string(),
                "expiresAt": text(key.expires_at),
                "revokedAt": text(key.revoked_at),
                "lastUsedAt": text(key.last_used_at),
            })
        });
        print_json(&serde_json::json!({"data": rows.collect::<Vec<_>>()}))?;
        return Ok(Ending::Done);
    }
    if keys.is_empty() {
        print_line("no keys yet; `tollgate keys create --name N --scopes check` makes one");
        return Ok(Ending::Done);
    }
    let rows = keys.iter().map(|key| {
        let used = key.last_used_at.map_or_else(|| "never".to_owned(), |at| at::relative(at, now));
        let account = key.account.as_ref().map_or("", AccountId::as_str).to_owned();
        vec![
            key.id.clone(),
            key.name.clone(),
            key.scopes.join(","),
            account,
            status(key, now).to_owned(),
            used,
        ]
    });
    print_line(table(&["id", "name", "scopes", "account", "status", "used"], rows.collect()));
    Ok(Ending::Done)
}

fn status(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.revoked_at.is_some_and(|at| at <= now) {
        "revoked"
    } else if key.expires_at.is_some_and(|at| at <= now) {
        "expired"
    } else {
        "live"
    }
}

async fn rotate(context: &Context, config: &Config, db: &Db, id: &str) -> Outcome {
    let now = context.clock.now();
    let old = stored::list(db).await?.into_iter().find(|key| key.id == id);
    let Some(old) = old.filter(|key| status(key, now) == "live") else {
        anyhow::bail!("there is no live key {id}; `tollgate keys list` shows them all");
    };
    let wanted = Wanted {
        name: old.name,
        scopes: old.scopes,
        account: old.account,
        expires_at: old.expires_at,
    };
    let key = insert(db, environment(context, config), &wanted, now).await?;
    let ending = show(context, &key, &wanted)?;
    if !context.output.is_json() {
        print_note(format_args!(
            "the old key {id} lives on; when its users have the new one: tollgate keys revoke {id}"
        ));
    }
    Ok(ending)
}

async fn revoke(context: &Context, db: &Db, id: &str) -> Outcome {
    if !stored::revoke(db, id, context.clock.now()).await? {
        anyhow::bail!("there is no live key {id}; `tollgate keys list` shows them all");
    }
    let value = serde_json::json!({"id": id, "status": "revoked"});
    context.output.either(&value, || format!("{id} is revoked"))?;
    Ok(Ending::Done)
}
