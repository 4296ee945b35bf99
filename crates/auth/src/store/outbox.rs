//! `_monobase.mail_outbox`: mails between the commit that causes them and the mail server that takes them.

use chrono::{DateTime, Utc};
use database::Connection;
use mail::Letter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Result;

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) kind: String,
    pub(crate) letter: Letter,
    /// How often it was tried.
    pub(crate) attempts: i32,
    /// When what it says is worth nothing any more.
    pub(crate) expires_at: DateTime<Utc>,
}

/// A letter as the row holds it.
#[derive(Deserialize, Serialize)]
struct Stored {
    to: String,
    subject: String,
    html: String,
    headers: Vec<(String, String)>,
}

/// Seconds during which a mail belongs to the sender that took it.
const LEASE: i32 = 120;

/// Whether there is such a table that we may write: not in a database that monobase did not make.
pub(crate) async fn exists(db: &mut Connection) -> Result<bool> {
    let sql = "select pg_catalog.has_schema_privilege(namespace.oid, 'usage')
          and pg_catalog.has_table_privilege(class.oid, 'insert') as usable
        from pg_catalog.pg_class as class
        join pg_catalog.pg_namespace as namespace on namespace.oid = class.relnamespace
        where namespace.nspname = '_monobase' and class.relname = 'mail_outbox'";
    let row = db.query_opt(sql, &[]).await?;
    Ok(row.map(|row| row.get::<bool>("usable")).transpose()?.unwrap_or(false))
}

/// Adds a mail, which belongs to the caller for a while. An older one of the same kind to the same address holds a code that
/// no longer works: it goes.
pub(crate) async fn insert(db: &mut Connection, mail: &Waiting) -> Result<()> {
    db.execute(
        "delete from _monobase.mail_outbox where user_id = $1 and kind = $2 and letter ->> 'to' = $3",
        &[&mail.user_id, &mail.kind, &mail.letter.to],
    )
    .await?;
    let stored = Stored {
        to: mail.letter.to.clone(),
        subject: mail.letter.subject.clone(),
        html: mail.letter.html.clone(),
        headers: mail.letter.headers.clone(),
    };
    let letter = serde_json::to_string(&stored).unwrap_or_default();
    db.execute(
        "insert into _monobase.mail_outbox (id, user_id, kind, letter, due_at, expires_at)
         values ($1, $2, $3, $4::text::jsonb, now() + make_interval(secs => $5::int4), $6)",
        &[&mail.id, &mail.user_id, &mail.kind, &letter, &LEASE, &mail.expires_at],
    )
    .await
    .map(|_| ())
}

/// Forgets a mail.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from _monobase.mail_outbox where id = $1", &[&id]).await.map(|_| ())
}

/// Lets a mail wait for its next try.
pub(crate) async fn postpone(db: &mut Connection, id: Uuid, attempts: i32, seconds: i32) -> Result<()> {
    let sql = "update _monobase.mail_outbox set attempts = $2, due_at = now() + make_interval(secs => $3::int4) where id = $1";
    db.execute(sql, &[&id, &attempts, &seconds]).await.map(|_| ())
}

/// Takes mails whose time has come; they belong to the caller for a while. Other processes take others.
pub(crate) async fn take(db: &mut Connection, most: i64) -> Result<Vec<Waiting>> {
    let rows = db
        .query(
            "update _monobase.mail_outbox set due_at = now() + make_interval(secs => $2::int4)
             where id in (
               select id from _monobase.mail_outbox where due_at <= now() order by due_at limit $1 for update skip locked
             )
             returning id, user_id, kind, letter::text as letter, attempts, expires_at",
            &[&most, &LEASE],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let letter: String = row.get("letter")?;
            let id: Uuid = row.get("id")?;
            let stored = serde_json::from_str::<Stored>(&letter).unwrap_or_else(|error| {
                tracing::error!(%id, %error, "a mail in the outbox cannot be read");
                Stored { to: String::new(), subject: String::new(), html: String::new(), headers: Vec::new() }
            });
            Ok(Waiting {
                id,
                user_id: row.get("user_id")?,
                kind: row.get("kind")?,
                letter: Letter {
                    id: id.to_string(),
                    to: stored.to,
                    subject: stored.subject,
                    html: stored.html,
                    headers: stored.headers,
                },
                attempts: row.get("attempts")?,
                expires_at: row.get("expires_at")?,
            })
        })
        .collect()
}

/// After a mail that nobody takes, the user may ask for another at once: the pause between two mails would only be in the way.
pub(crate) async fn forget_sending(db: &mut Connection, user_id: Uuid, kind: &str) -> Result<()> {
    let sql = match kind {
        "confirmation" => "update auth.users set confirmation_sent_at = null where id = $1",
        "recovery" | "magic_link" => "update auth.users set recovery_sent_at = null where id = $1",
        "email_change" => "update auth.users set email_change_sent_at = null where id = $1",
        "reauthentication" => "update auth.users set reauthentication_sent_at = null where id = $1",
        _ => return Ok(()),
    };
    db.execute(sql, &[&user_id]).await.map(|_| ())
}
