//! `supabase/config.toml`: every key that the Supabase CLI knows, with its defaults.
//!
//! What a key means is the CLI's documentation to say; comments here are about what differs.

mod auth;
mod db;
mod services;

pub use auth::*;
pub use db::*;
pub use services::*;

use crate::reader::{Foreign, Named, section};

section! {
    /// The whole file.
    File {
        /// Default: the name of the project's folder.
        project_id: Option<String>,
        api: Api,
        db: Db,
        realtime: Realtime,
        studio: Studio,
        local_smtp | inbucket: LocalSmtp,
        storage: Storage,
        auth: Auth,
        edge_runtime: EdgeRuntime,
        functions: Named<Function>,
        analytics: Analytics,
        experimental: Experimental,
        /// Overlays for hosted projects; nothing local.
        remotes: Foreign,
        monobase: Monobase,
    }
}

section! {
    /// What only monobase knows. Each key is also a `MONOBASE_<KEY>` variable.
    Monobase {
        /// An outside PostgreSQL, as its administrator. Empty: the embedded one.
        database_url: crate::Secret,
        /// The same server without a transaction pooler before it.
        direct_database_url: crate::Secret,
        /// The password of the database roles.
        database_password: crate::Secret,
        /// Default: `.monobase/` beside `supabase/`.
        data_dir: Option<String>,
        /// The address that the front door binds.
        host: String = "127.0.0.1",
        /// The address that the embedded database binds.
        database_host: String = "127.0.0.1",
        /// The log filter: `info`, or `info,rest=debug`.
        log: Option<String>,
        /// Connections that the front door has at a time, websockets among them; more wait to be accepted.
        max_connections: u32 = 16_384u32,
        production: bool = false,
    }
}
