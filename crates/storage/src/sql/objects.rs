//! `storage.objects`.

use database::{Isolation, Param, RequestContext, Statement};
use serde_json::{Value, json};

use super::{OWN_ROLE, Probe, object, object_columns, object_row, text};
use crate::Context;
use crate::domain::{Condition, Domain, Found, Mode, NewObject, Object, ObjectRow, Question};
use crate::error::{Code, Error, Result};

const FIND: &str =
    concat!("select ", object_columns!(), " from storage.objects o where o.bucket_id = $1 and o.name = $2");

/// Several at a time. Lateral, so that it stays one look into the index each.
const FIND_PUBLIC: &str = concat!(
    "select w.n, ",
    object_columns!(),
    " from jsonb_to_recordset($1::jsonb) as w(n int, b text, k text) ",
    "join storage.buckets b on b.id = w.b and b.public ",
    "left join lateral (select * from storage.objects o where o.bucket_id = b.id and o.name = w.k limit 1) o on true"
);

const FIND_ONE_PUBLIC: &str = concat!(
    "select 0, ",
    object_columns!(),
    " from storage.buckets b left join storage.objects o on o.bucket_id = b.id and o.name = $2 ",
    "where b.id = $1 and b.public"
);

/// Without RETURNING: the right to see the row is not needed.
const PROBE_CREATE: &str = "insert into storage.objects (bucket_id, name, version, owner, owner_id, metadata) \
                            values ($1, $2, '1', $3::uuid, $4, $5::jsonb)";

/// With it, and with the arm that needs UPDATE. Whoever is nobody in particular, as the service role is, leaves the owner.
const PROBE_UPSERT: &str = "insert into storage.objects (bucket_id, name, version, owner, owner_id, metadata) \
                            values ($1, $2, '1', $3::uuid, $4, $5::jsonb) \
                            on conflict (bucket_id, name) do update set version = excluded.version, \
                            owner = coalesce(excluded.owner, objects.owner), \
                            owner_id = coalesce(excluded.owner_id, objects.owner_id), metadata = excluded.metadata \
                            returning *";

const CREATE: &str = "insert into storage.objects \
                      (bucket_id, name, version, owner, owner_id, metadata, user_metadata) \
                      values ($1, $2, $3, $4::uuid, $5, $6::jsonb, $7::jsonb) returning id::text";

const UPSERT: &str = "insert into storage.objects \
                      (bucket_id, name, version, owner, owner_id, metadata, user_metadata) \
                      values ($1, $2, $3, $4::uuid, $5, $6::jsonb, $7::jsonb) \
                      on conflict (bucket_id, name) do update set version = excluded.version, \
                      owner = coalesce(excluded.owner, objects.owner), \
                      owner_id = coalesce(excluded.owner_id, objects.owner_id), metadata = excluded.metadata, \
                      user_metadata = excluded.user_metadata \
                      returning id::text";

const LOCK: &str = "select pg_catalog.pg_advisory_xact_lock($1::bigint)";
const CURRENT: &str = "select version, metadata ->> 'eTag' from storage.objects \
                       where bucket_id = $1 and name = $2 for update";
const KEEP: &str = "select _storage.keep($1)";

/// How long a writer waits for another writer of the same key.
const LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "5s");

pub(crate) async fn find(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    key: &str,
) -> Result<Option<Object>> {
    if unstorable(&[bucket, key]) {
        return Ok(None);
    }
    let params = [Param::Text(bucket), Param::Text(key)];
    let results = domain
        .pool()
        .request(&context.reading(domain.search_path()), &[Statement::new(FIND, &params)])
        .await?;
    Ok(results.first().and_then(|result| result.rows.first()).map(|row| object(row, 0)))
}

/// The answers, in the order of the questions.
pub(crate) async fn find_public(domain: &Domain, questions: &[Question]) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    found.resize_with(questions.len(), || None);
    let asked = |(_, question): &(usize, &Question)| !unstorable(&[&question.bucket, &question.key]);
    let results = if let [question] = questions {
        if unstorable(&[&question.bucket, &question.key]) {
            return Ok(found);
        }
        let params = [Param::Text(&question.bucket), Param::Text(&question.key)];
        domain.pool().request(&superuser(domain), &[Statement::new(FIND_ONE_PUBLIC, &params)]).await?
    } else {
        let wanted: Vec<Value> = questions
            .iter()
            .enumerate()
            .filter(asked)
            .map(|(number, question)| json!({ "n": number, "b": question.bucket, "k": question.key }))
            .collect();
        let wanted = Value::Array(wanted).to_string();
        let params = [Param::Text(&wanted)];
        domain.pool().request(&superuser(domain), &[Statement::new(FIND_PUBLIC, &params)]).await?
    };
    for row in results.first().into_iter().flat_map(|result| &result.rows) {
        let number = row.text(0).and_then(|number| number.parse::<usize>().ok());
        if let Some(slot) = number.and_then(|number| found.get_mut(number)) {
            *slot = Some(row.get(1).is_some().then(|| object(row, 1)));
        }
    }
    Ok(found)
}

/// Has the database look at the table again if it takes it for smaller than `objects`.
///
/// A connection keeps its plans, and those that it made when the table was empty are blind: one index is as good as another
/// then, and the one taken may lead through all objects of a bucket. Only new statistics make it plan anew; of its own accord
/// PostgreSQL makes them a minute later.
pub(crate) async fn count_anew(domain: &Domain, objects: u64) -> Result<()> {
    let request = RequestContext::default().with(LOCK_TIMEOUT.0, LOCK_TIMEOUT.1);
    let known =
        Statement::new("select reltuples::int8 from pg_class where oid = 'storage.objects'::regclass", &[]);
    let results = domain.pool().request(&request, &[known]).await?;
    let known: i64 = results.first().and_then(|result| result.scalar()?.parse().ok()).unwrap_or(0);
    if known < objects.cast_signed() {
        domain.pool().request(&request, &[Statement::new("analyze storage.objects", &[])]).await?;
    }
    Ok(())
}

/// Those of the keys that the caller may see.
pub(crate) async fn find_many(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    keys: &[String],
) -> Result<Vec<String>> {
    let keys = json_keys(keys);
    let params = [Param::Text(bucket), Param::Text(&keys)];
    let sql = "select name from storage.objects where bucket_id = $1 \
               and name = any (array(select pg_catalog.jsonb_array_elements_text($2::jsonb)))";
    let results = domain
        .pool()
        .request(&context.reading(domain.search_path()), &[Statement::new(sql, &params)])
        .await?;
    Ok(results
        .first()
        .map(|result| result.rows.iter().filter_map(|row| text(row, 0)).collect())
        .unwrap_or_default())
}

/// Runs the caller's statement under the caller's role, takes it back, and enters the blob into the ledger.
pub(crate) async fn probe(
    domain: &Domain,
    context: &Context,
    probe: &Probe<'_>,
    blob: Option<&str>,
) -> Result<()> {
    let caller = &context.caller;
    let params = [
        Param::Text(probe.bucket),
        Param::Text(probe.key),
        caller.owner().into(),
        caller.subject.as_deref().into(),
        probe.metadata.into(),
    ];
    let insert = match probe.mode {
        Mode::Create => PROBE_CREATE,
        Mode::Upsert => PROBE_UPSERT,
    };
    let entry = [Param::from(blob)];
    let mut statements = vec![
        Statement::new("savepoint probe", &[]),
        Statement::new(insert, &params),
        Statement::new("rollback to savepoint probe", &[]),
    ];
    if blob.is_some() {
        statements.push(Statement::new(OWN_ROLE, &[]));
        statements.push(Statement::new(super::ledger::ENTER, &entry));
        // Losing the entry in a crash of the database loses room for a blob, nothing else: not worth a flush.
        statements
            .push(Statement::new("select pg_catalog.set_config('synchronous_commit', 'off', true)", &[]));
    }
    let mut tries = 1;
    loop {
        let request = context.transaction(domain.search_path());
        match domain.pool().request(&request, &statements).await.map_err(Error::from) {
            // Of two who find the key free at once, the slower one fails by one of the unique indexes that the statement's
            // other arm does not look at. The next time it finds the row.
            Err(error)
                if probe.mode == Mode::Upsert
                    && error.code == Code::ResourceAlreadyExists
                    && tries < UPSERT_TRIES =>
            {
                tries += 1;
            }
            done => return done.map(drop).map_err(refine),
        }
    }
}

/// How often an upsert is tried that another writer of the same new key got in the way of.
const UPSERT_TRIES: usize = 5;

/// A key that is taken, in the words for keys.
fn refine(error: Error) -> Error {
    match error.code {
        Code::ResourceAlreadyExists => Error::key_exists(),
        _ => error,
    }
}

/// What a commit did.
pub(crate) struct Committed {
    pub(crate) id: String,
    /// The version of the object that was there before.
    pub(crate) replaced: Option<Option<String>>,
}

/// Makes the row, in the name of the service role, if the condition holds.
pub(crate) async fn commit(
    domain: &Domain,
    context: &Context,
    object: &NewObject,
    metadata: &Value,
) -> Result<Committed> {
    let context_now = context.elevated(&domain.config().service_role);
    let request = context_now.transaction(domain.search_path()).with(LOCK_TIMEOUT.0, LOCK_TIMEOUT.1);
    let key = object.key.as_str();
    let lock = lock_of(&object.bucket, key).to_string();
    let metadata = metadata.to_string();
    let user_metadata = object.user_metadata.as_ref().map(Value::to_string);
    let caller = &context.caller;
    let lock_params = [Param::Text(&lock)];
    let current_params = [Param::Text(&object.bucket), Param::Text(key)];
    let params = [
        Param::Text(&object.bucket),
        Param::Text(key),
        object.blob.version().into(),
        caller.owner().into(),
        caller.subject.as_deref().into(),
        Param::Text(&metadata),
        user_metadata.as_deref().into(),
    ];
    let keep_params = [Param::from(object.blob.version())];
    let part_checksums = format!("\\x{}", hex::encode(&object.part_checksums));
    let part_params = [keep_params[0], Param::Text(&part_checksums)];
    let before = [Statement::new(LOCK, &lock_params), Statement::new(CURRENT, &current_params)];
    let write = match object.condition {
        Condition::Absent => CREATE,
        Condition::Any | Condition::Matches(_) | Condition::Differs(_) => UPSERT,
    };
    let mut after = vec![
        Statement::new(write, &params),
        Statement::new(OWN_ROLE, &[]),
        Statement::new(KEEP, &keep_params),
    ];
    if !object.part_checksums.is_empty() {
        after.push(Statement::new(super::parts::KEEP_CHECKSUMS, &part_params));
    }
    let looks = matches!(object.condition, Condition::Matches(_) | Condition::Differs(_));
    let (current, written) = if looks {
        let mut transaction = domain.pool().begin_request(&request, &before).await.map_err(locked)?;
        let current = transaction.results().get(1).and_then(|result| result.rows.first().cloned());
        if !object.condition.allows(current.as_ref().map(|row| row.text(1))) {
            transaction.rollback().await?;
            // What should match something must be there.
            if current.is_none() {
                return Err(Error::no_such_key());
            }
            return Err(Error::new(
                Code::PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold",
            ));
        }
        let written = transaction.run(&after).await.map_err(locked)?;
        transaction.commit().await?;
        (current, written)
    } else {
        let statements = [before.as_slice(), after.as_slice()].concat();
        let mut results = domain.pool().request(&request, &statements).await.map_err(locked)?;
        let written = results.split_off(2);
        (results.pop().and_then(|result| result.rows.first().cloned()), written)
    };
    let id = written.first().and_then(|result| result.scalar()).unwrap_or_default().to_owned();
    Ok(Committed { id, replaced: current.map(|row| text(&row, 0)) })
}

fn locked(error: database::Error) -> Error {
    match error.sqlstate() {
        Some(code) if *code == "55P03" => Error::new(Code::LockTimeout, "acquiring lock timeout"),
        _ => refine(error.into()),
    }
}

/// The number under which the original locks a key: djb2 with xor over UTF-16, unsigned.
fn lock_of(bucket: &str, key: &str) -> u32 {
    bucket
        .encode_utf16()
        .chain(std::iter::once(u16::from(b'/')))
        .chain(key.encode_utf16())
        .fold(5381, |hash: u32, unit| hash.wrapping_mul(33) ^ u32::from(unit))
}

/// Gives an object another name, bucket and, if the caller is somebody, owner, under the caller's role. `version` when its
/// blob has changed.
pub(crate) async fn rename(
    domain: &Domain,
    context: &Context,
    object: &Object,
    bucket: &str,
    key: &str,
    version: Option<&str>,
) -> Result<()> {
    let caller = &context.caller;
    let params = [
        Param::Text(&object.row.id),
        object.row.version.as_deref().into(),
        Param::Text(bucket),
        Param::Text(key),
        caller.owner().into(),
        caller.subject.as_deref().into(),
        version.into(),
    ];
    // Of the row that was seen, version and all: a blob must not be renamed that another writer has just replaced.
    let sql = "update storage.objects set bucket_id = $3, name = $4, \
               owner = coalesce($5::uuid, owner), owner_id = coalesce($6, owner_id), \
               version = coalesce($7, version) \
               where id = $1::uuid and version is not distinct from $2 returning id";
    let keep_params = [Param::from(version)];
    let mut statements = vec![Statement::new(sql, &params)];
    if version.is_some() {
        statements.push(Statement::new(OWN_ROLE, &[]));
        statements.push(Statement::new(KEEP, &keep_params));
    }
    let request = context.transaction(domain.search_path()).with(LOCK_TIMEOUT.0, LOCK_TIMEOUT.1);
    let results = domain.pool().request(&request, &statements).await.map_err(locked)?;
    if results.first().is_none_or(|result| result.rows.is_empty()) {
        return Err(Error::no_such_key());
    }
    Ok(())
}

/// Deletes those of the keys that the caller may delete.
pub(crate) async fn delete(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    keys: &[String],
) -> Result<Vec<ObjectRow>> {
    if unstorable(&[bucket]) {
        return Ok(Vec::new());
    }
    let keys = json_keys(keys);
    let params = [Param::Text(bucket), Param::Text(&keys)];
    let sql = concat!(
        "delete from storage.objects o where o.bucket_id = $1 ",
        "and o.name = any (array(select pg_catalog.jsonb_array_elements_text($2::jsonb))) returning ",
        object_columns!()
    );
    let results = domain
        .pool()
        .request(&context.transaction(domain.search_path()), &[Statement::new(sql, &params)])
        .await?;
    Ok(rows(results.first()))
}

/// Deletes all objects of a bucket that the caller may delete, and says whether visible ones are left.
pub(crate) async fn delete_all(
    domain: &Domain,
    context: &Context,
    bucket: &str,
) -> Result<(Vec<ObjectRow>, bool)> {
    let params = [Param::Text(bucket)];
    let delete = concat!(
        "delete from storage.objects o where o.bucket_id = $1 and o.created_at <= now() returning ",
        object_columns!()
    );
    let left = "select exists (select from storage.objects where bucket_id = $1 and created_at <= now())";
    let statements = [Statement::new(delete, &params), Statement::new(left, &params)];
    let results = domain.pool().request(&context.transaction(domain.search_path()), &statements).await?;
    let left = results.get(1).and_then(|result| result.scalar()) == Some("t");
    Ok((rows(results.first()), left))
}

/// How many objects a bucket has, counting to `max`.
pub(crate) async fn count(domain: &Domain, bucket: &str, max: u64) -> Result<u64> {
    let max = max.to_string();
    let params = [Param::Text(bucket), Param::Text(&max)];
    let sql =
        "select count(*) from (select from storage.objects where bucket_id = $1 limit $2::bigint) counted";
    let results = domain.pool().request(&superuser(domain), &[Statement::new(sql, &params)]).await?;
    Ok(results.first().and_then(|result| result.scalar()).and_then(|count| count.parse().ok()).unwrap_or(0))
}

/// The keys as the JSON that statements take apart, without those that no row can have.
fn json_keys(keys: &[String]) -> String {
    let keys: Vec<&String> = keys.iter().filter(|key| !key.contains('\0')).collect();
    serde_json::to_string(&keys).unwrap_or_else(|_| "[]".to_owned())
}

fn rows(result: Option<&database::ResultSet>) -> Vec<ObjectRow> {
    result.map(|result| result.rows.iter().map(|row| object_row(row, 0)).collect()).unwrap_or_default()
}

/// Reads for which no policy counts.
pub(crate) fn superuser(domain: &Domain) -> RequestContext<'_> {
    RequestContext::new(domain.config().service_role.as_str()).read_only()
}

/// The service's own work under its login.
pub(crate) fn own() -> RequestContext<'static> {
    RequestContext { isolation: Some(Isolation::ReadCommitted), ..RequestContext::default() }
}

/// PostgreSQL's text holds no zero byte: what has one names nothing.
pub(crate) fn unstorable(texts: &[&str]) -> bool {
    texts.iter().any(|text| text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_locked_under_the_originals_numbers() {
        // By hand: h("a/b") = ((5381*33 ^ 'a')*33 ^ '/')*33 ^ 'b'.
        let by_hand = ((5381_u32.wrapping_mul(33) ^ 97).wrapping_mul(33) ^ 47).wrapping_mul(33) ^ 98;
        assert_eq!(lock_of("a", "b"), by_hand);
    }
}
