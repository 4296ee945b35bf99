//! Real clusters in temporary folders, reached over their sockets with the engine's own `psql`.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use embedded_postgres::{Cluster, Error, Options, State};
use support::{engine, psql, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_cluster_and_keeps_its_data() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    assert!(cluster.created());
    assert_eq!(*cluster.state().borrow(), State::Running);
    assert_eq!(psql(&cluster, "create table kept as select 7 as n; select n from kept"), Ok("7".into()));
    let mut state = cluster.state();
    cluster.stop().await;
    assert_eq!(*state.borrow_and_update(), State::Stopped);

    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    assert!(!cluster.created());
    assert_eq!(psql(&cluster, "select n from kept"), Ok("7".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_sorts_as_people_sort() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    let sorted = psql(
        &cluster,
        "select string_agg(x, ' ' order by x) from unnest(array['b', 'é', 'A', '_x', 'C', 'a']) as x",
    );
    assert_eq!(sorted, Ok("_x a A b C é".into()));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_over_the_same_folder_is_refused_and_names_the_first() {
    let folder = scratch();
    let cluster = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap();
    let refused = Cluster::start(&engine(), Options::new(folder.path())).await.unwrap_err();
    let Error::Locked { process, .. } = refused else { panic!("{refused}") };
    assert_eq!(process, Some(std::process::id()));
    assert_eq!(psql(&cluster, "select 1"), Ok("1".into()));
    cluster.stop().await;
}
