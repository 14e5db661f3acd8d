//! Migrations, compactions, erasures, similarity, policies, statistics.

use storage_fixtures::documents::Kind as Document;
use storage_fixtures::documents::family;
use storage_server::client::Client;
use storage_server::proto;
use tonic::Code;
use tonic::Status;

use crate::support::TestServer;
use crate::support::message;
use crate::support::put;
use crate::support::read;

#[tokio::test]
async fn migrations_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("m", message(1, 10_000))).await.unwrap();
    for dry_run in [true, false] {
        let request = proto::MigrateRequest { dry_run, to: proto::Tier::Cold.into(), ..Default::default() };
        let mut progress = client.admin.migrate(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(report) = progress.message().await.unwrap() {
            assert!(last.is_none_or(|last: proto::MigrateProgress| !last.done));
            last = Some(report);
        }
        assert!(last.unwrap().done);
    }
    assert!(read(&mut client, "m").await.unwrap() == message(1, 10_000));
    // Once its progress has ended, the next one may begin.
    let mut progress = client.admin.migrate(proto::MigrateRequest::default()).await.unwrap().into_inner();
    while progress.message().await.unwrap().is_some() {}
    server.stop().await;
}

#[tokio::test]
async fn compactions_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for number in 1..=3 {
        let id = format!("m{number}");
        client.messages.put_message(put(&id, message(number, 10_000))).await.unwrap();
        let to = proto::MigrateRequest { to: proto::Tier::Cold.into(), ..Default::default() };
        let mut progress = client.admin.migrate(to).await.unwrap().into_inner();
        while progress.message().await.unwrap().is_some() {}
    }
    let wrong = proto::CompactRequest { dead_percent_min: 101, ..Default::default() };
    assert_eq!(client.admin.compact(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    for (dry_run, packs) in [(true, 0), (false, 1)] {
        let request = proto::CompactRequest { dry_run, ..Default::default() };
        let mut progress = client.admin.compact(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(report) = progress.message().await.unwrap() {
            assert!(last.is_none_or(|last: proto::CompactProgress| !last.done));
            last = Some(report);
        }
        let last = last.unwrap();
        assert!(last.done && last.planned_objects > 0, "{last:?}");
        assert_eq!((last.packs, last.objects), (packs, packs * last.planned_objects));
    }
    for number in 1..=3 {
        assert!(read(&mut client, &format!("m{number}")).await.unwrap() == message(number, 10_000));
    }
    server.stop().await;
}

/// All answers of an erasure; the last one has `done` set.
async fn erased(client: &mut Client, request: proto::EraseRequest) -> Result<proto::EraseProgress, Status> {
    let mut answers = client.admin.erase(request).await?.into_inner();
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        assert!(last.is_none_or(|last: proto::EraseProgress| !last.done));
        last = Some(answer);
    }
    Ok(last.unwrap())
}

#[tokio::test]
async fn erasures_report_and_end() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for number in 1..=4 {
        client.messages.put_message(put(&format!("m{number}"), message(number, 10_000))).await.unwrap();
    }
    let some = |ids: &[&str]| proto::EraseRequest {
        message_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    let planned = erased(&mut client, proto::EraseRequest { dry_run: true, ..some(&["m1"]) }).await.unwrap();
    assert!(planned.done && planned.planned_packs == 1 && planned.erased_at.is_none(), "{planned:?}");
    let update = proto::UpdateRequest { id: "m2".to_owned(), hold: Some(true), ..Default::default() };
    client.messages.update_message(update).await.unwrap();
    let held = erased(&mut client, some(&["m1", "m2"])).await.unwrap_err();
    assert!(held.code() == Code::FailedPrecondition && held.message().contains("hold"), "{held}");
    let later = erased(&mut client, proto::EraseRequest { later: true, ..some(&["m1"]) }).await.unwrap();
    assert_eq!((later.requested, later.pending, later.erased), (1, 1, 0));
    let one = proto::EraseRequest {
        what: Some(proto::erase_request::What::MessageId("m3".to_owned())),
        ..Default::default()
    };
    let done = erased(&mut client, one).await.unwrap();
    assert!(done.erased == 2 && done.pending == 0 && done.erased_at.is_some(), "{done:?}");
    assert!(done.rewritten_bytes > 20_000 && done.packs_deleted == 1, "{done:?}");
    for (id, there) in [("m1", false), ("m2", true), ("m3", false), ("m4", true)] {
        assert_eq!(read(&mut client, id).await.is_ok(), there, "{id}");
    }
    let unknown = erased(&mut client, some(&["m9"])).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let both = proto::EraseRequest { content_ids: vec!["c".to_owned()], ..some(&["m4"]) };
    assert_eq!(erased(&mut client, both).await.unwrap_err().code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn what_is_similar_is_found_and_grouped() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let versions = family(5, Document::Docx, 1);
    for (id, bytes) in ["one", "two"].into_iter().zip(&versions) {
        let options = Some(proto::PutOptions { id: id.into(), ..Default::default() });
        let put = proto::PutContentRequest { options, data: bytes.clone().into() };
        let _receipt = client.contents.put_content(put).await.unwrap();
    }
    let asked =
        |limit, score_min| proto::FindSimilarRequest { id: "one".into(), limit, score_min, message: false };
    let before = client.contents.find_similar(asked(0, 0)).await.unwrap().into_inner();
    assert!(before.similar.is_empty(), "what no migration has moved is not in the index: {before:?}");
    let request = proto::MigrateRequest { to: proto::Tier::Archive.into(), ..Default::default() };
    let mut progress = client.admin.migrate(request).await.unwrap().into_inner();
    while progress.message().await.unwrap().is_some() {}

    let found = client.contents.find_similar(asked(0, 0)).await.unwrap().into_inner().similar;
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert_eq!((found.bytes, found.part, found.ids.len()), (versions[1].len() as u64, 0, 1));
    let length = |version: usize| i64::try_from(versions[version].len()).unwrap();
    let more = length(1) - length(0);
    assert_eq!(found.bytes_more, more);
    assert!(found.shared > 20 && found.delta_bytes.is_some_and(|bytes| bytes < found.bytes / 2), "{found:?}");
    let stat = proto::StatRequest { id: "two".into() };
    assert_eq!(found.ids[0], client.contents.stat_content(stat).await.unwrap().into_inner().id);
    for (wrong, code) in [(asked(101, 0), Code::InvalidArgument), (asked(1, 101), Code::InvalidArgument)] {
        assert_eq!(client.contents.find_similar(wrong).await.unwrap_err().code(), code);
    }
    let nothing = proto::FindSimilarRequest { id: "none".into(), ..asked(1, 0) };
    assert_eq!(client.contents.find_similar(nothing).await.unwrap_err().code(), Code::NotFound);

    let stats = client.admin.stats(proto::StatsRequest { by: "similar".into() }).await.unwrap().into_inner();
    let [group] = stats.rows.as_slice() else { panic!("one group: {:?}", stats.rows) };
    assert!(group.key.ends_with(" zip") && group.objects == 2, "{group:?}");
    assert_eq!(group.unique_bytes, versions.iter().map(|bytes| bytes.len() as u64).sum::<u64>());
    assert!(group.stored_bytes < group.unique_bytes);
    assert!(stats.saved.unwrap().similar_dedup > 0);
    server.stop().await;
}

#[tokio::test]
async fn admin_calls_answer() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    client.messages.put_message(put("a", message(1, 10_000))).await.unwrap();
    let stats = client.admin.stats(proto::StatsRequest { by: "tier".into() }).await.unwrap().into_inner();
    assert_eq!((stats.messages, stats.tiers.len()), (1, 4));
    assert!(!stats.rows.is_empty());
    let wrong = client.admin.stats(proto::StatsRequest { by: "colour".into() }).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);

    let shown = client
        .admin
        .tier_policy(proto::TierPolicyRequest::default())
        .await
        .unwrap()
        .into_inner()
        .policy
        .unwrap();
    let own = proto::Policy { warm_after_days: 1, ..shown };
    let set = proto::TierPolicyRequest { change: Some(proto::tier_policy_request::Change::Set(own)) };
    assert_eq!(client.admin.tier_policy(set).await.unwrap().into_inner().policy.unwrap(), own);
    let clear = proto::TierPolicyRequest { change: Some(proto::tier_policy_request::Change::Clear(true)) };
    assert_eq!(client.admin.tier_policy(clear).await.unwrap().into_inner().policy.unwrap(), shown);

    let explained = client
        .admin
        .explain(proto::ExplainRequest { id: "a".into(), content: false })
        .await
        .unwrap()
        .into_inner();
    assert!(!explained.reasons.is_empty());
    client.admin.sweep(proto::SweepRequest::default()).await.unwrap();
    client.admin.list_dictionaries(proto::ListDictionariesRequest {}).await.unwrap();
    client.admin.jobs(proto::JobsRequest {}).await.unwrap();

    let mut scrubbing = client.admin.scrub(proto::ScrubRequest::default()).await.unwrap().into_inner();
    let mut last = None;
    while let Some(answer) = scrubbing.message().await.unwrap() {
        assert!(answer.findings.is_empty(), "{answer:?}");
        last = Some(answer);
    }
    let last = last.unwrap();
    assert!(last.done && last.found == 0 && last.packs > 0 && last.items > 0, "{last:?}");
    let mut repairing = client.admin.repair(proto::RepairRequest::default()).await.unwrap().into_inner();
    let answer = repairing.message().await.unwrap().unwrap();
    assert!(answer.done && !answer.applied && answer.found == 0, "{answer:?}");

    let missing = [client.admin.backup(proto::BackupRequest::default()).await.unwrap_err()];
    for status in missing {
        assert_eq!(status.code(), Code::Unimplemented);
        assert!(status.message().ends_with("is not available in this version."), "{status}");
    }
    server.stop().await;
}
