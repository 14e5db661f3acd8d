//! Bad input: options, names, ids and ranges beyond their bounds.

use std::collections::BTreeMap;

use bytes::Bytes;
use storage_core::clock::Timestamp;
use storage_core::error::Kind;
use storage_core::model::GetOptions;
use storage_core::model::ItemKind;
use storage_core::model::ItemUpdate;
use storage_core::model::ListQuery;
use storage_core::model::PutOptions;

use crate::MESSAGE;
use crate::Store;
use crate::kind;
use crate::named;
use crate::read;

#[tokio::test]
async fn options_have_bounds() {
    let store = Store::start().await;
    let labels = |count: usize, key: usize, value: usize| PutOptions {
        labels: (0..count).map(|n| (format!("{n:0>key$}"), "v".repeat(value))).collect::<BTreeMap<_, _>>(),
        ..PutOptions::default()
    };
    let media = |text: &str| PutOptions { media_type: Some(text.to_owned()), ..PutOptions::default() };
    let file = |text: &str| PutOptions { file_name: Some(text.to_owned()), ..PutOptions::default() };
    let created = |at| PutOptions { created: Some(Timestamp(at)), ..PutOptions::default() };
    let refused = [
        named(""),
        named(&"x".repeat(129)),
        named("a\0b"),
        labels(17, 2, 1),
        labels(1, 65, 1),
        labels(1, 1, 257),
        PutOptions { labels: [(String::new(), String::new())].into(), ..PutOptions::default() },
        media(&"x".repeat(128)),
        media("text/\nplain"),
        file(&"x".repeat(256)),
        file("a\rb"),
        created(-1),
        created(1 << 48),
    ];
    for options in refused {
        assert_eq!(kind(store.put(options.clone(), MESSAGE).await), Kind::InvalidArgument, "{options:?}");
    }
    let taken = [
        named(&"x".repeat(128)),
        named("\u{1f600} \u{7}"),
        labels(16, 64, 256),
        media(&"x".repeat(127)),
        file(&"x".repeat(255)),
        created(0),
        created((1 << 48) - 1),
    ];
    for options in taken {
        assert!(store.put(options, MESSAGE).await.unwrap().created);
    }
    let update = ItemUpdate { labels_set: labels(17, 2, 1).labels, ..ItemUpdate::default() };
    let id = "x".repeat(128);
    assert_eq!(
        kind(store.engine.update("default", ItemKind::Message, &id, update).await),
        Kind::InvalidArgument
    );
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    let store = Store::start().await;
    let (engine, message) = (&store.engine, ItemKind::Message);
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    for (tenant, id) in
        [("nobody", "one"), ("default", "two"), ("default", "0190a5f2-0000-7000-8000-000000000000")]
    {
        assert_eq!(kind(engine.stat(tenant, message, id).await), Kind::NotFound);
        assert_eq!(kind(engine.get(tenant, message, id, GetOptions::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.get_part(tenant, id, 0, GetOptions::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.update(tenant, message, id, ItemUpdate::default()).await), Kind::NotFound);
        assert_eq!(kind(engine.delete(tenant, message, id).await), Kind::NotFound);
        assert_eq!(kind(engine.explain(tenant, message, id).await), Kind::NotFound);
    }
    assert_eq!(kind(engine.stat("default", ItemKind::Content, "one").await), Kind::NotFound);
    assert_eq!(kind(engine.get_part("default", "one", 99, GetOptions::default()).await), Kind::NotFound);
    let put = engine.put("nobody", message, PutOptions::default(), Bytes::from_static(MESSAGE)).await;
    assert_eq!(kind(put), Kind::NotFound);
    assert_eq!(
        kind(engine.list("nobody", message, ListQuery { limit: 1, ..ListQuery::default() }).await),
        Kind::NotFound
    );
    assert_eq!(kind(engine.stats(Some("nobody")).await), Kind::NotFound);
    assert_eq!(kind(engine.set_policy("nobody", None).await), Kind::NotFound);
    engine.close().await.unwrap();
}

#[tokio::test]
async fn names_and_pages_have_bounds() {
    let store = Store::start().await;
    for name in ["", "a b", "ä", "a/b", &"x".repeat(129)] {
        assert_eq!(kind(store.engine.create_tenant(name).await), Kind::InvalidArgument, "{name:?}");
    }
    assert_eq!(kind(store.engine.create_tenant("default").await), Kind::AlreadyExists);
    for limit in [0, 1_001] {
        let query = ListQuery { limit, ..ListQuery::default() };
        assert_eq!(kind(store.engine.list("default", ItemKind::Message, query).await), Kind::InvalidArgument);
    }
    let mut policy = store.engine.policy(None).await.unwrap();
    policy.warm_after_days = policy.cold_after_days + 1;
    assert_eq!(kind(store.engine.set_policy("default", Some(policy)).await), Kind::InvalidArgument);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn an_id_is_used_once() {
    let store = Store::start().await;
    let first = store.put(named("one"), MESSAGE).await.unwrap();
    let again = store.put(named("one"), MESSAGE).await.unwrap();
    assert_eq!((again.id, again.created), (first.id, false));
    assert_eq!(kind(store.put(named("one"), &b"Subject: other\r\n\r\n"[..]).await), Kind::AlreadyExists);
    let held = ItemUpdate { hold: Some(true), ..ItemUpdate::default() };
    let _ = store.engine.update("default", ItemKind::Message, "one", held).await.unwrap();
    let delete = || store.engine.delete("default", ItemKind::Message, "one");
    assert_eq!(kind(delete().await), Kind::FailedPrecondition);
    let kept = ItemUpdate {
        hold: Some(false),
        retention_end: Some(Some(Timestamp(i64::MAX))),
        ..ItemUpdate::default()
    };
    let _ = store.engine.update("default", ItemKind::Message, "one", kept).await.unwrap();
    assert_eq!(kind(delete().await), Kind::FailedPrecondition);
    let free = ItemUpdate { retention_end: Some(None), ..ItemUpdate::default() };
    let _ = store.engine.update("default", ItemKind::Message, "one", free).await.unwrap();
    delete().await.unwrap();
    assert_eq!(kind(delete().await), Kind::NotFound);
    assert_eq!(kind(store.put(named("one"), MESSAGE).await), Kind::FailedPrecondition);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn ranges_end_with_the_item() {
    let store = Store::start().await;
    let _ = store.put(named("one"), MESSAGE).await.unwrap();
    let length = MESSAGE.len() as u64;
    let get = |range| {
        let options = GetOptions { range: Some(range), touch: false };
        read(&store.engine, "one", options)
    };
    assert_eq!(get(0..u64::MAX).await.unwrap(), MESSAGE);
    assert_eq!(get(length..length).await.unwrap(), b"");
    assert_eq!(get(length - 1..length + 1).await.unwrap(), b"\n");
    assert_eq!(kind(get(length + 1..length + 2).await), Kind::InvalidArgument);
    let backwards = std::ops::Range { start: 5, end: 4 };
    assert_eq!(kind(get(backwards).await), Kind::InvalidArgument);
    store.engine.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_message_is_one() {
    let store = Store::start().await;
    let receipt = store.put(named("empty"), &b""[..]).await.unwrap();
    assert_eq!((receipt.bytes, receipt.objects), (0, 0));
    assert_eq!(store.get("empty").await.unwrap(), b"");
    store.engine.close().await.unwrap();
}
