//! `auth.mfa_factors`.

use database::{Connection, TypedRow};
use uuid::Uuid;

use super::Result;
use crate::user::Factor;

const COLUMNS: &str = "id, created_at, updated_at, status::text as status, \
     coalesce(friendly_name, '') as friendly_name, factor_type::text as factor_type, \
     coalesce(phone, '') as phone, last_challenged_at, web_authn_aaguid";

fn read(row: &TypedRow) -> Result<Factor> {
    Ok(Factor {
        id: row.get("id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        status: row.get("status")?,
        friendly_name: row.get("friendly_name")?,
        factor_type: row.get("factor_type")?,
        phone: row.get("phone")?,
        last_challenged_at: row.get("last_challenged_at")?,
        web_authn_aaguid: row.get("web_authn_aaguid")?,
    })
}

/// A user's factors, oldest first.
pub(crate) async fn of_user(db: &mut Connection, user_id: Uuid) -> Result<Vec<Factor>> {
    let sql = format!("select {COLUMNS} from auth.mfa_factors where user_id = $1 order by created_at, id");
    db.query(&sql, &[&user_id]).await?.iter().map(read).collect()
}

/// One factor of a user.
pub(crate) async fn find(db: &mut Connection, user_id: Uuid, id: Uuid) -> Result<Option<Factor>> {
    let sql = format!("select {COLUMNS} from auth.mfa_factors where user_id = $1 and id = $2");
    db.query_opt(&sql, &[&user_id, &id]).await?.as_ref().map(read).transpose()
}

/// Writes a factor's name and number.
pub(crate) async fn update(db: &mut Connection, factor: &Factor) -> Result<()> {
    let sql = "update auth.mfa_factors
         set friendly_name = $1, phone = nullif($2::text, ''), updated_at = $3 where id = $4";
    db.execute(sql, &[&factor.friendly_name, &factor.phone, &factor.updated_at, &factor.id]).await.map(|_| ())
}

/// Removes one factor.
pub(crate) async fn delete(db: &mut Connection, id: Uuid) -> Result<()> {
    db.execute("delete from auth.mfa_factors where id = $1", &[&id]).await.map(|_| ())
}

/// Removes all factors of a user.
pub(crate) async fn delete_of_user(db: &mut Connection, user_id: Uuid) -> Result<()> {
    db.execute("delete from auth.mfa_factors where user_id = $1", &[&user_id]).await.map(|_| ())
}
