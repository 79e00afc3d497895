//! What a database means to do with a statement. Owns: asking for plans. Must not know: what a good
//! plan is.

use sqlx::{Executor as _, PgConnection, Row as _, SqlitePool};

use crate::error::StoreError;

/// Prepares the statement and has it explained with nulls as its values, which the generic plan
/// does not look at. In a transaction, which does not end what is prepared: behind a pooler it would stay
/// on a connection that others use next. Where explaining fails, only the savepoint lets it be let go.
pub(super) async fn postgres(
    connection: &mut PgConnection,
    text: &str,
) -> Result<String, StoreError> {
    let count = (1..100).take_while(|number| text.contains(&format!("${number}"))).count();
    let nulls =
        if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
    let run = async |connection: &mut PgConnection, sql: String| {
        connection.fetch_all(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await
    };
    run(connection, format!("PREPARE explained AS {text}; SAVEPOINT prepared")).await?;
    let lines = run(connection, format!("EXPLAIN EXECUTE explained{nulls}")).await;
    if lines.is_err() {
        run(connection, "ROLLBACK TO SAVEPOINT prepared".to_owned()).await?;
    }
    run(connection, "DEALLOCATE explained".to_owned()).await?;
    let lines = lines?;
    let lines = lines.iter().map(|line| line.try_get::<String, _>(0));
    Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

pub(super) async fn sqlite(pool: &SqlitePool, text: &str) -> Result<String, StoreError> {
    let text = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"));
    let lines = pool.fetch_all(sqlx::query(text)).await?;
    let lines = lines.iter().map(|line| line.try_get::<String, _>(3));
    Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
}
