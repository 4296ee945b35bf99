//! The tenant's row in `_realtime.tenants`, as the original keeps it.

use aws_lc_rs::cipher::{AES_128, PaddedBlockEncryptingKey, UnboundCipherKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use database::{Param, Pool, RequestContext, ResultSet, Statement};
use serde_json::{Map, Value, json};

/// Why the row could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantError {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error("DB_ENC_KEY must be 16 bytes long")]
    Key,
}

/// A tenant without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tenant(Map<String, Value>);

const COLUMNS: &str = "jsonb_build_object(
    'id', t.id, 'external_id', t.external_id, 'name', t.name,
    'max_concurrent_users', t.max_concurrent_users, 'max_channels_per_client', t.max_channels_per_client,
    'max_events_per_second', t.max_events_per_second, 'max_joins_per_second', t.max_joins_per_second,
    'max_presence_events_per_second', t.max_presence_events_per_second,
    'max_payload_size_in_kb', t.max_payload_size_in_kb, 'suspend', coalesce(t.suspend, false),
    'private_only', t.private_only, 'inserted_at', t.inserted_at, 'updated_at', t.updated_at,
    'extensions', coalesce((
        select jsonb_agg(jsonb_build_object(
            'type', e.type, 'settings', e.settings - 'db_password', 'inserted_at', e.inserted_at,
            'updated_at', e.updated_at, 'tenant_external_id', e.tenant_external_id
        ))
        from _realtime.extensions e where e.tenant_external_id = t.external_id
    ), '[]'::jsonb)
)::text";

fn read(results: &[ResultSet]) -> Vec<Tenant> {
    let rows = results.last().map(|result| result.rows.as_slice()).unwrap_or_default();
    rows.iter().filter_map(|row| serde_json::from_str(row.text(0)?).ok()).map(Tenant).collect()
}

impl Tenant {
    pub(crate) async fn all(pool: &Pool) -> Result<Vec<Self>, TenantError> {
        let sql = format!("select {COLUMNS} from _realtime.tenants t order by t.external_id");
        Ok(read(&pool.request(&RequestContext::default().read_only(), &[Statement::new(&sql, &[])]).await?))
    }

    pub(crate) async fn find(pool: &Pool, name: &str) -> Result<Option<Self>, TenantError> {
        let sql = format!("select {COLUMNS} from _realtime.tenants t where t.external_id = $1");
        let values = [Param::Text(name)];
        let statement = [Statement::new(&sql, &values)];
        Ok(read(&pool.request(&RequestContext::default().read_only(), &statement).await?).pop())
    }

    pub(crate) async fn delete(pool: &Pool, name: &str) -> Result<(), TenantError> {
        let values = [Param::Text(name)];
        let statement = [Statement::new("delete from _realtime.tenants where external_id = $1", &values)];
        pool.request(&RequestContext::default(), &statement).await?;
        Ok(())
    }

    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.0.clone())
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }
}

/// What a caller of the tenant API, or the start, wants the row to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    columns: Map<String, Value>,
    jwt_secret: Option<String>,
    extensions: Vec<(String, Map<String, Value>)>,
    concerns_sockets: bool,
}

const NUMBERS: [&str; 6] = [
    "max_concurrent_users",
    "max_channels_per_client",
    "max_events_per_second",
    "max_joins_per_second",
    "max_presence_events_per_second",
    "max_payload_size_in_kb",
];

/// Settings of an extension that are kept encrypted.
const ENCRYPTED: [&str; 5] = ["db_host", "db_name", "db_user", "db_port", "db_password"];

impl Changes {
    /// Checks what was given; answers the original's errors by field.
    pub(crate) fn parse(given: &Map<String, Value>) -> Result<Self, Value> {
        let mut changes = Self::default();
        let mut errors = Map::new();
        for (name, value) in given {
            let valid = match name.as_str() {
                name if NUMBERS.contains(&name) => {
                    value.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
                }
                "private_only" | "suspend" | "notify_private_alpha" => value.is_boolean(),
                "name" | "postgres_cdc_default" => value.is_string(),
                "jwt_jwks" => value.is_object() || value.is_null(),
                "jwt_secret" => {
                    changes.jwt_secret = value.as_str().map(str::to_owned);
                    changes.concerns_sockets = true;
                    if !value.is_string() {
                        errors.insert(name.clone(), json!(["is invalid"]));
                    }
                    continue;
                }
                "extensions" => {
                    match extensions(value) {
                        Some(extensions) => changes.extensions = extensions,
                        None => drop(errors.insert(name.clone(), json!(["is invalid"]))),
                    }
                    continue;
                }
                _ => continue,
            };
            if valid {
                changes.concerns_sockets |= matches!(name.as_str(), "private_only" | "suspend" | "jwt_jwks");
                changes.columns.insert(name.clone(), value.clone());
            } else {
                errors.insert(name.clone(), json!(["is invalid"]));
            }
        }
        if errors.is_empty() { Ok(changes) } else { Err(Value::Object(errors)) }
    }

    /// Whether sockets must begin anew.
    pub(crate) fn concerns_sockets(&self) -> bool {
        self.concerns_sockets
    }

    /// Writes the row, made if there is none; tells whether it was made.
    pub(crate) async fn apply(
        &self,
        pool: &Pool,
        name: &str,
        key: Option<&str>,
    ) -> Result<(Tenant, bool), TenantError> {
        let created = Tenant::find(pool, name).await?.is_none();
        let secret = match (&self.jwt_secret, key) {
            (Some(secret), Some(key)) => Some(encrypt(key, secret)?),
            // Without a key nothing is kept that would have to be hidden.
            _ => None,
        };
        let columns = Value::Object(self.columns.clone()).to_string();
        let values =
            [Param::Text(name), Param::Text(&columns), secret.as_deref().map_or(Param::Null, Param::Text)];
        // What is not given keeps its value, or gets the table's default.
        let assignments: Vec<String> =
            self.columns.keys().map(|column| format!("{column} = given.{column}")).collect();
        let extra =
            assignments.iter().fold(String::new(), |text, assignment| format!("{text}, {assignment}"));
        let insert = "insert into _realtime.tenants (id, external_id, name, inserted_at, updated_at)
            values (gen_random_uuid(), $1, $1, now() at time zone 'utc', now() at time zone 'utc')
            on conflict (external_id) do nothing";
        let update = format!(
            "update _realtime.tenants t
            set updated_at = now() at time zone 'utc', jwt_secret = coalesce($3, t.jwt_secret){extra}
            from jsonb_populate_record(null::_realtime.tenants, $2::jsonb) given
            where t.external_id = $1"
        );
        let mut settings = Vec::new();
        for (kind, extension) in &self.extensions {
            let mut extension = extension.clone();
            for name in ENCRYPTED {
                if let Some(value) = extension.get_mut(name) {
                    match (key, value.as_str()) {
                        (Some(key), Some(text)) => *value = encrypt(key, text)?.into(),
                        _ => drop(extension.remove(name)),
                    }
                }
            }
            settings.push((kind.clone(), Value::Object(extension).to_string()));
        }
        let rows: Vec<[Param<'_>; 3]> = settings
            .iter()
            .map(|(kind, text)| [Param::Text(name), Param::Text(kind), Param::Text(text)])
            .collect();
        let mut statements =
            vec![Statement::new(insert, &values[..1]), Statement::new(&update, &values).uncached()];
        statements.extend(rows.iter().map(|row| {
            Statement::new(
                "insert into _realtime.extensions (id, type, settings, tenant_external_id, inserted_at, updated_at)
                values (gen_random_uuid(), $2, $3::jsonb, $1, now() at time zone 'utc', now() at time zone 'utc')
                on conflict (tenant_external_id, type)
                do update set settings = excluded.settings, updated_at = excluded.updated_at",
                row,
            )
        }));
        let select = format!("select {COLUMNS} from _realtime.tenants t where t.external_id = $1");
        statements.push(Statement::new(&select, &values[..1]));
        let results = pool.request(&RequestContext::default(), &statements).await?;
        let tenant = read(&results).pop().unwrap_or(Tenant(Map::new()));
        Ok((tenant, created))
    }
}

fn extensions(value: &Value) -> Option<Vec<(String, Map<String, Value>)>> {
    value
        .as_array()?
        .iter()
        .map(|extension| {
            let kind = extension.get("type")?.as_str()?.to_owned();
            Some((kind, extension.get("settings")?.as_object()?.clone()))
        })
        .collect()
}

/// AES-128 in ECB mode with PKCS #7 padding, as base64: how the original keeps its secrets. It is no strong protection
/// (equal blocks show), but another program reads them.
fn encrypt(key: &str, text: &str) -> Result<String, TenantError> {
    let key = UnboundCipherKey::new(&AES_128, key.as_bytes()).map_err(|_| TenantError::Key)?;
    let key = PaddedBlockEncryptingKey::ecb_pkcs7(key).map_err(|_| TenantError::Key)?;
    let mut bytes = text.as_bytes().to_vec();
    key.encrypt(&mut bytes).map_err(|_| TenantError::Key)?;
    Ok(STANDARD.encode(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_encrypted_as_the_original_reads_them() {
        // openssl enc -aes-128-ecb -K $(printf supabaserealtime | xxd -p) -base64
        assert_eq!(encrypt("supabaserealtime", "postgres").unwrap(), "sWBpZNdjggEPTQVlI52Zfw==");
        assert!(matches!(encrypt("short", "x"), Err(TenantError::Key)));
    }

    #[test]
    fn wrong_types_are_told_by_field() {
        let given = json!({ "max_events_per_second": "many", "private_only": 1, "extensions": [1] });
        assert_eq!(
            Changes::parse(given.as_object().unwrap()).unwrap_err(),
            json!({
                "max_events_per_second": ["is invalid"], "private_only": ["is invalid"], "extensions": ["is invalid"]
            })
        );
    }
}
