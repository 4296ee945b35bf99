use serde_json::json;
use storage::blob::BlobName;

use crate::service::Service;

#[tokio::test]
async fn what_a_users_sql_deletes_is_swept() {
    let service = Service::open().await;
    service.put("b/a", "1").await;
    service.put("b/kept", "2").await;
    service.sql("delete from storage.objects where name = 'a'").await;
    assert_eq!(service.storage.sweep().await.unwrap(), 1);
    assert_eq!(service.blobs(1).await, 1);
    assert_eq!(service.content("b/kept").await.as_deref(), Some("2"));
    assert_eq!(service.sql("select count(*) from _storage.blobs").await, "1");
}

#[tokio::test]
async fn only_what_the_ledger_knows_is_swept() {
    let service = Service::open().await;
    let stray = service.folder.path().join("blobs/ab");
    std::fs::create_dir_all(&stray).unwrap();
    std::fs::write(stray.join("abcd"), "somebody else's").unwrap();
    assert_eq!(service.storage.sweep().await.unwrap(), 0);
    assert_eq!(service.blobs(1).await, 1);
}

#[tokio::test]
async fn an_upload_that_the_sweeper_overtook_is_refused() {
    let service = Service::open().await;
    let blob = service.storage.domain().begin_blob().await.unwrap();
    assert_eq!(service.storage.sweep().await.unwrap(), 1);
    let name = blob.version().unwrap();
    let kept = service
        .database
        .connect("supabase_storage_admin")
        .await
        .simple_query(&format!("select _storage.keep('{name}')"))
        .await;
    assert!(kept.is_err());
}

#[tokio::test]
async fn parts_live_as_long_as_their_upload() {
    let service = Service::open().await;
    service.sql("insert into _storage.uploads (id, bucket_id, key, version, expires_at) values ('u', 'b', 'k', 'v', now() + '1 hour')").await;
    let domain = service.storage.domain();
    for (number, text) in [(1, "one"), (2, "two"), (2, "2.0")] {
        let body = storage::blob::once(text.into());
        let written =
            domain.write_part("u", number, body, Some(3), 10, |_| Ok(Default::default())).await.unwrap();
        assert_eq!(written.written.size, 3);
    }
    assert_eq!(service.blobs(2).await, 2);
    assert_eq!(service.storage.sweep().await.unwrap(), 0);
    let parts = domain.parts("u").await.unwrap();
    assert_eq!(parts.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>(), [(1, 3), (2, 3)]);
    service.sql("update _storage.uploads set expires_at = now() - interval '1 second'").await;
    service.storage.sweep().await.unwrap();
    assert_eq!(service.blobs(0).await, 0);
    assert!(domain.parts("u").await.unwrap().is_empty());
    assert!(BlobName::of_version(&service.sql("select 'x'").await).is_some());
    let _ = json!({});
}

#[tokio::test]
async fn the_database_soon_knows_of_the_first_objects() {
    let service = Service::open().await;
    for number in 0..50 {
        service.put(&format!("b/folder/{number}"), "x").await;
    }
    let known = async || service.sql("select reltuples from pg_class where relname = 'objects'").await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while known().await != "50" {
        assert!(std::time::Instant::now() < until, "{}", known().await);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
