//! The sections of the services beside auth.

use crate::reader::{Foreign, Named, choice, section};
use crate::secret::Secret;
use crate::units::ByteSize;

choice! {
    /// `realtime.ip_version`
    IpVersion("\"IPv4\" or \"IPv6\"") {
        V4 = "IPv4",
        V6 = "IPv6",
    }
}

section! {
    /// `[realtime]`
    Realtime {
        enabled: bool = true,
        ip_version: IpVersion = IpVersion::V4,
        max_header_length: u32 = 4096u32,
    }
}

section! {
    /// `[studio]`
    Studio {
        enabled: bool = true,
        port: u16 = 54323u16,
        api_url: String = "http://127.0.0.1",
        openai_api_key: Secret,
    }
}

section! {
    /// `[local_smtp]`, formerly `[inbucket]`: the catcher of development mail.
    LocalSmtp {
        enabled: bool = true,
        port: u16 = 54324u16,
        smtp_port: Option<u16>,
        pop3_port: Option<u16>,
        admin_email: String = "admin@email.com",
        sender_name: String = "Admin",
    }
}

section! {
    /// `[storage]`
    Storage {
        enabled: bool = true,
        file_size_limit: ByteSize = ByteSize(50 << 20),
        s3_protocol: S3Protocol,
        image_transformation: ImageTransformation,
        analytics: StorageAnalytics,
        vector: StorageVector,
        buckets: Named<Bucket>,
    }
}

section! {
    /// `[storage.s3_protocol]`
    S3Protocol {
        enabled: bool = true,
    }
}

section! {
    /// `[storage.image_transformation]`
    ImageTransformation {
        enabled: Option<bool>,
    }
}

section! {
    /// `[storage.analytics]`
    StorageAnalytics {
        enabled: bool = false,
        max_namespaces: u32 = 5u32,
        max_tables: u32 = 10u32,
        max_catalogs: u32 = 2u32,
        buckets: Foreign,
    }
}

section! {
    /// `[storage.vector]`
    StorageVector {
        enabled: bool = false,
        max_buckets: u32 = 10u32,
        max_indexes: u32 = 5u32,
        buckets: Foreign,
    }
}

section! {
    /// `[storage.buckets.<id>]`
    Bucket {
        public: bool = false,
        file_size_limit: Option<ByteSize>,
        allowed_mime_types: Vec<String>,
        objects_path: Option<String>,
    }
}

choice! {
    /// `edge_runtime.policy`
    EdgePolicy("\"per_worker\" or \"oneshot\"") {
        PerWorker = "per_worker",
        Oneshot = "oneshot",
    }
}

section! {
    /// `[edge_runtime]`
    EdgeRuntime {
        enabled: bool = true,
        policy: EdgePolicy = EdgePolicy::PerWorker,
        inspector_port: u16 = 8083u16,
        deno_version: u8 = 2u8,
        secrets: Named<Secret>,
    }
}

section! {
    /// `[functions.<slug>]`
    Function {
        enabled: bool = true,
        verify_jwt: bool = true,
        import_map: Option<String>,
        entrypoint: Option<String>,
        static_files: Vec<String>,
        env: Named<Secret>,
    }
}

choice! {
    /// `analytics.backend`
    AnalyticsBackend("\"postgres\" or \"bigquery\"") {
        Postgres = "postgres",
        BigQuery = "bigquery",
    }
}

section! {
    /// `[analytics]`
    Analytics {
        enabled: bool = true,
        port: u16 = 54327u16,
        vector_port: Option<u16>,
        backend: AnalyticsBackend = AnalyticsBackend::Postgres,
        gcp_project_id: Option<String>,
        gcp_project_number: Option<String>,
        gcp_jwt_path: Option<String>,
    }
}

section! {
    /// `[experimental]`
    Experimental {
        orioledb_version: Option<String>,
        s3_host: Option<String>,
        s3_region: Option<String>,
        s3_access_key: Secret,
        s3_secret_key: Secret,
        webhooks: Webhooks,
        pgdelta: PgDelta,
        inspect: Inspect,
    }
}

section! {
    /// `[experimental.webhooks]`
    Webhooks {
        enabled: bool = false,
    }
}

section! {
    /// `[experimental.pgdelta]`
    PgDelta {
        enabled: bool = true,
        declarative_schema_path: Option<String>,
        format_options: Foreign,
    }
}

section! {
    /// `[experimental.inspect]`
    Inspect {
        rules: Foreign,
    }
}
