//! The admin endpoints.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use axum::body::Body;
use database::{Pool, PoolConfig};
use http::Request;
use rest::{Config, Entrance, Rest, Surroundings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt as _;

struct Admin {
    rest: Rest,
    surroundings: Surroundings,
}

impl Admin {
    async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = self.rest.admin_router(self.surroundings.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn health(&self) -> (u16, u16) {
        (self.get("/live").await.0, self.get("/ready").await.0)
    }
}

fn config() -> Config {
    Config { anon_role: Some("anon".to_owned()), ..Config::default() }
}

async fn loaded(rest: &Rest) {
    while !rest.is_ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn health_follows_the_entrance_the_notifications_and_the_database() {
    let database = testkit::database().await;
    let entrance = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (heard, listening) = watch::channel(true);
    let rest = Rest::start(config(), database.pool("authenticator"), None);
    let surroundings =
        Surroundings { entrance: Entrance::Tcp(entrance.local_addr().unwrap()), listening: Some(listening) };
    let mut admin = Admin { rest, surroundings };
    loaded(&admin.rest).await;
    assert_eq!(admin.health().await, (200, 200));
    heard.send_replace(false);
    assert_eq!(admin.health().await, (200, 503));
    // Without notifications the database itself is asked.
    admin.surroundings.listening = None;
    assert_eq!(admin.health().await, (200, 200));
    drop(entrance);
    assert_eq!(admin.health().await, (500, 500));
    assert_eq!(admin.get("/config").await, (404, String::new()));
}

#[tokio::test]
async fn the_catalogue_is_shown() {
    let database = testkit::database().await;
    database
        .connect("postgres")
        .await
        .simple_query(
            "create table public.parents (id int primary key, note varchar(9) default 'x');
             create table public.children (parent_id int references public.parents (id));
             create function public.twice(n int) returns setof int immutable language sql as $$ select n * 2 $$",
        )
        .await
        .unwrap();
    let rest = Rest::start(config(), database.pool("authenticator"), None);
    loaded(&rest).await;
    let surroundings = Surroundings { entrance: Entrance::Unix("/nonexistent".into()), listening: None };
    let (status, body) = Admin { rest, surroundings }.get("/schema_cache").await;
    assert_eq!(status, 200);
    let cache: Value = serde_json::from_str(&body).unwrap();
    let value = |map: &str, key: Value| {
        let pair = cache[map].as_array().unwrap().iter().find(|pair| pair[0] == key);
        pair.unwrap_or_else(|| panic!("{map} lacks {key}"))[1].clone()
    };
    let name = |name: &str| json!({ "qiSchema": "public", "qiName": name });
    assert_eq!(
        value("dbMediaHandlers", json!([{ "tag": "RelAnyElement" }, { "tag": "MTAny" }])),
        json!([{ "tag": "BuiltinOvAggJson" }, { "tag": "MTApplicationJSON" }])
    );
    let table = value("dbTables", name("parents"));
    assert_eq!(table["tablePKCols"], json!(["id"]));
    assert_eq!(
        table["tableColumns"]["note"],
        json!({
            "colName": "note", "colDescription": null, "colNullable": true, "colType": "character varying",
            "colNominalType": "character varying(9)", "colMaxLen": 9, "colDefault": "'x'::character varying",
            "colEnum": [],
        })
    );
    assert_eq!(
        value("dbRelationships", json!([name("children"), "public"])),
        json!([{
            "tag": "Relationship",
            "relTable": name("children"),
            "relForeignTable": name("parents"),
            "relIsSelf": false,
            "relCardinality": {
                "tag": "M2O", "relCons": "children_parent_id_fkey", "relColumns": [["parent_id", "id"]],
            },
            "relTableIsView": false,
            "relFTableIsView": false,
        }])
    );
    assert_eq!(
        value("dbRoutines", name("twice")),
        json!([{
            "pdSchema": "public",
            "pdName": "twice",
            "pdDescription": null,
            "pdParams": [
                { "ppName": "n", "ppType": "integer", "ppTypeMaxLength": "integer", "ppReq": true, "ppVar": false },
            ],
            "pdReturnType": {
                "tag": "SetOf",
                "contents": { "tag": "Scalar", "contents": { "qiSchema": "pg_catalog", "qiName": "int4" } },
            },
            "pdVolatility": "Immutable",
            "pdHasVariadic": false,
            "pdFuncSettings": [],
        }])
    );
}

#[tokio::test]
async fn requests_that_get_no_connection_in_time_are_counted() {
    let database = testkit::database().await;
    let limits =
        PoolConfig { max_size: 1, acquire_timeout: Duration::from_millis(20), ..PoolConfig::default() };
    let pool = Pool::new(database.config("authenticator"), limits);
    let rest = Rest::start(config(), pool.clone(), None);
    loaded(&rest).await;
    let held = loop {
        // The first load gives its connection back in its own time.
        if let Ok(connection) = pool.acquire().await {
            break connection;
        }
    };
    let before = pool.status().timeouts;
    assert!(pool.acquire().await.is_err());
    drop(held);
    let surroundings = Surroundings { entrance: Entrance::Unix("/nonexistent".into()), listening: None };
    let (status, body) = Admin { rest, surroundings }.get("/metrics").await;
    assert_eq!(status, 200);
    for line in [
        &*format!("pgrst_db_pool_timeouts_total {}", before + 1),
        "pgrst_db_pool_max 1",
        "pgrst_schema_cache_loads_total{status=\"SUCCESS\"} 1",
        "pgrst_schema_cache_loads_total{status=\"FAIL\"} 0",
    ] {
        assert!(body.lines().any(|found| found == line), "{line} is not in\n{body}");
    }
}
