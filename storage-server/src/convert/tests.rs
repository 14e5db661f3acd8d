//! Round trips through the wire's types, and everything the wire may say that is refused.

use std::collections::BTreeMap;

use proptest::prelude::any;
use proptest::prop_assert_eq;
use proptest::proptest;
use storage_core::clock::Timestamp;
use storage_core::error::Error;
use storage_core::error::Kind;
use storage_core::model::ExternalIds;
use storage_core::model::ItemKind;
use storage_core::model::ItemStat;
use storage_core::model::Page;
use storage_core::model::Sha256;
use storage_core::model::Tier;
use storage_core::report::MigrateReport;
use storage_core::report::Move;
use storage_core::tier::policy::TierPolicy;
use tonic::Code;
use uuid::Uuid;

use crate::convert::admin;
use crate::convert::code;
use crate::convert::external;
use crate::convert::failed;
use crate::convert::item;
use crate::convert::tier;
use crate::convert::timestamp;
use crate::convert::wire_external;
use crate::convert::wire_tier;
use crate::convert::wire_timestamp;
use crate::limits;
use crate::proto;

fn stat(id: u128) -> ItemStat {
    ItemStat {
        id: Uuid::from_u128(id),
        kind: ItemKind::Content,
        caller_id: Some("mine".into()),
        external: ExternalIds::default(),
        message_id: None,
        media_type: Some("application/pdf".into()),
        file_name: None,
        bytes: 7,
        sha256: Sha256([9; 32]),
        created: Timestamp(1_234),
        accessed: None,
        retention_end: Some(Timestamp(-1)),
        hold: true,
        pin: Some(Tier::Cold),
        labels: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        tier: Tier::Archive,
        parts: Vec::new(),
    }
}

#[test]
fn every_kind_has_its_code() {
    let expected = [
        (Kind::InvalidArgument, Code::InvalidArgument),
        (Kind::NotFound, Code::NotFound),
        (Kind::AlreadyExists, Code::AlreadyExists),
        (Kind::FailedPrecondition, Code::FailedPrecondition),
        (Kind::ResourceExhausted, Code::ResourceExhausted),
        (Kind::Corrupt, Code::DataLoss),
        (Kind::Cancelled, Code::Cancelled),
        (Kind::Unavailable, Code::Unavailable),
        (Kind::Unimplemented, Code::Unimplemented),
        (Kind::Io, Code::Internal),
        (Kind::Internal, Code::Internal),
    ];
    for (kind, wire) in expected {
        assert_eq!(code(kind), wire, "{kind:?}");
    }
}

#[test]
fn failures_of_the_machine_tell_the_caller_nothing_of_it() {
    let source = std::io::Error::other("/srv/data/pack-17: device gone");
    let status = failed("put")(Error::io("writing /srv/data/pack-17 failed", source));
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("pack") && !status.message().contains('/'), "{}", status.message());
    let status = failed("put")(Error::precondition("Lift the hold first."));
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "Lift the hold first."));
}

proptest! {
    #[test]
    fn moments_come_back(millis in -62_135_596_800_000i64..=253_402_300_799_999) {
        let moment = Timestamp(millis);
        prop_assert_eq!(timestamp("t", wire_timestamp(moment)).unwrap(), moment);
    }

    #[test]
    fn any_moment_is_taken_or_refused(seconds in any::<i64>(), nanos in any::<i32>()) {
        if let Ok(Timestamp(millis)) = timestamp("t", prost_types::Timestamp { seconds, nanos }) {
            prop_assert_eq!(millis.div_euclid(1000), seconds);
        }
    }

    #[test]
    fn external_ids_come_back(campaign in any::<Option<u128>>(), account in any::<Option<u128>>(), lead in any::<Option<u128>>()) {
        let id = |id: Option<u128>| id.map(Uuid::from_u128);
        let ids = ExternalIds { campaign: id(campaign), account: id(account), lead: id(lead) };
        prop_assert_eq!(external(wire_external(&ids)).unwrap(), ids);
    }

    #[test]
    fn ranges_never_overflow(offset in any::<u64>(), length in any::<Option<u64>>()) {
        match item::get_options(offset, length, None) {
            Ok(options) => {
                let range = options.range.unwrap_or(0..u64::MAX);
                prop_assert_eq!(range.start, offset);
                prop_assert_eq!(length.unwrap_or(u64::MAX - offset), range.end - range.start);
            }
            Err(status) => {
                prop_assert_eq!(status.code(), Code::InvalidArgument);
                prop_assert_eq!(offset.checked_add(length.unwrap()), None);
            }
        }
    }
}

#[test]
fn tiers_come_back_and_unknown_ones_do_not() {
    for value in Tier::ALL {
        assert_eq!(tier("pin", wire_tier(value).into()).unwrap(), Some(value));
    }
    assert_eq!(tier("pin", 0).unwrap(), None);
    assert_eq!(tier("pin", 5).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(tier("pin", -1).unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn options_are_taken_as_they_are() {
    let lead = Uuid::from_u128(5);
    let options = item::put_options(proto::PutOptions {
        id: "m-1".into(),
        external: Some(proto::ExternalIds { lead_id: lead.to_string(), ..Default::default() }),
        created: Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }),
        hold: true,
        pin: proto::Tier::Hot.into(),
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(options.caller_id.as_deref(), Some("m-1"));
    assert_eq!(options.external.lead, Some(lead));
    assert_eq!(options.created, Some(Timestamp(1500)));
    assert_eq!((options.hold, options.pin), (true, Some(Tier::Hot)));
    assert_eq!(options.labels["a"], "b");
    assert_eq!(
        item::put_options(proto::PutOptions::default()).unwrap(),
        storage_core::model::PutOptions::default()
    );
}

#[test]
fn options_out_of_bounds_are_refused_by_name() {
    let options = proto::PutOptions::default;
    let label = |key: usize, value: usize| [("k".repeat(key), "v".repeat(value))].into();
    let campaign = proto::ExternalIds { campaign_id: "not-a-uuid".into(), ..Default::default() };
    let cases = [
        ("`id`", proto::PutOptions { id: "x".repeat(129), ..options() }),
        ("`campaign_id`", proto::PutOptions { external: Some(campaign), ..options() }),
        (
            "`created`",
            proto::PutOptions {
                created: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
                ..options()
            },
        ),
        (
            "`created`",
            proto::PutOptions {
                created: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
                ..options()
            },
        ),
        ("`media_type`", proto::PutOptions { media_type: "x".repeat(256), ..options() }),
        ("`file_name`", proto::PutOptions { file_name: "x".repeat(1025), ..options() }),
        ("`pin`", proto::PutOptions { pin: 77, ..options() }),
        ("labels", proto::PutOptions { labels: label(0, 1), ..options() }),
        ("labels", proto::PutOptions { labels: label(65, 1), ..options() }),
        ("labels", proto::PutOptions { labels: label(1, 257), ..options() }),
        (
            "labels",
            proto::PutOptions {
                labels: (0..17).map(|i| (i.to_string(), String::new())).collect(),
                ..options()
            },
        ),
    ];
    for (named, options) in cases {
        let status = item::put_options(options).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(named), "{named}: {}", status.message());
    }
}

#[test]
fn queries_are_bounded() {
    let query = |page_size, page_token: &str| {
        item::list_query(proto::ListRequest {
            page_size,
            page_token: page_token.into(),
            ..Default::default()
        })
    };
    assert_eq!(query(0, "").unwrap().limit, 100);
    assert_eq!(query(1000, "").unwrap().limit, 1000);
    assert_eq!(query(1001, "").unwrap_err().code(), Code::InvalidArgument);
    let token = Uuid::from_u128(3);
    assert_eq!(query(1, &token.to_string()).unwrap().after, Some(token));
    assert!(query(1, "what").unwrap_err().message().contains("`page_token`"));
}

#[test]
fn updates_say_what_to_leave() {
    use proto::update_request::Retention;
    let request =
        |retention, pin| proto::UpdateRequest { id: "x".into(), retention, pin, ..Default::default() };
    let (_, update) = item::update(request(None, None)).unwrap();
    assert_eq!(update, storage_core::model::ItemUpdate::default());
    let (_, update) = item::update(request(Some(Retention::ClearRetention(true)), Some(0))).unwrap();
    assert_eq!((update.retention_end, update.pin), (Some(None), Some(None)));
    assert!(item::update(request(None, Some(9))).is_err());
    assert!(item::update(proto::UpdateRequest::default()).unwrap_err().message().contains("`id`"));
}

#[test]
fn items_keep_every_field() {
    let item = item::wire_item(stat(1));
    assert_eq!(item.id, Uuid::from_u128(1).to_string());
    assert_eq!(
        (item.caller_id.as_str(), item.media_type.as_str(), item.file_name.as_str()),
        ("mine", "application/pdf", "")
    );
    assert_eq!((item.bytes, item.sha256.as_ref()), (7, &[9u8; 32][..]));
    assert_eq!(item.retention_end, Some(prost_types::Timestamp { seconds: -1, nanos: 999_000_000 }));
    assert_eq!((item.external, item.accessed, item.hold), (None, None, true));
    assert_eq!((item.pin, item.tier), (proto::Tier::Cold.into(), proto::Tier::Archive.into()));
    assert_eq!(item.labels["k"], "v");
}

#[test]
fn a_page_that_is_too_large_is_cut_and_continues_after_its_last_item() {
    let items: Vec<ItemStat> = (1..=10)
        .map(|id| ItemStat { file_name: Some("f".repeat(limits::PAGE_BYTES_MAX / 4)), ..stat(id) })
        .collect();
    let page = item::wire_page(Page { items, next: None });
    assert_eq!(page.items.len(), 3);
    assert_eq!(page.next_page_token, page.items[2].id);

    let whole = item::wire_page(Page { items: vec![stat(1)], next: Some(Uuid::from_u128(1)) });
    assert_eq!((whole.items.len(), whole.next_page_token), (1, Uuid::from_u128(1).to_string()));
    let huge = ItemStat { file_name: Some("f".repeat(limits::PAGE_BYTES_MAX + 1)), ..stat(1) };
    assert_eq!(item::wire_page(Page { items: vec![huge], next: None }).items.len(), 1);
}

#[test]
fn upkeep_is_checked() {
    assert!(admin::stats_by("size").is_err());
    assert_eq!(admin::stats_by("").unwrap(), None);
    let grace = |seconds| proto::SweepRequest {
        grace: Some(prost_types::Duration { seconds, nanos: 0 }),
        dry_run: true,
    };
    assert_eq!(admin::sweep_options(grace(5)).unwrap().grace.as_secs(), 5);
    assert!(admin::sweep_options(grace(-5)).is_err());
    assert_eq!(admin::sweep_options(proto::SweepRequest::default()).unwrap().grace.as_secs(), 24 * 3600);
    let policy = TierPolicy::default();
    assert_eq!(admin::policy(&admin::wire_policy(&policy)).unwrap(), policy);
    let swapped = proto::Policy {
        warm_after_days: 9,
        ..admin::wire_policy(&TierPolicy { cold_after_days: 8, ..policy })
    };
    assert_eq!(admin::policy(&swapped).unwrap_err().code(), Code::InvalidArgument);
    let options = admin::migrate_options(None, &proto::MigrateRequest::default()).unwrap();
    assert_eq!(options, storage_core::report::MigrateOptions::default());
    let options = admin::compact_options(None, proto::CompactRequest::default()).unwrap();
    assert_eq!(options, storage_core::report::CompactOptions::default());
}

#[test]
fn moves_name_both_tiers() {
    let moved = Move { objects: 3, decoded_bytes: 2, stored_bytes: 1 };
    let report =
        MigrateReport { moves: BTreeMap::from([("hot -> warm".to_owned(), moved)]), ..Default::default() };
    let progress = admin::wire_progress(&report, true);
    assert!(progress.done);
    assert_eq!((progress.moves[0].from.as_str(), progress.moves[0].to.as_str()), ("hot", "warm"));
    assert_eq!(progress.moves[0].objects, 3);
}

#[test]
fn hex_is_read_or_left_out() {
    assert_eq!(admin::from_hex("00ff1A").as_ref(), [0x00, 0xff, 0x1a]);
    assert!(
        admin::from_hex("0").is_empty() && admin::from_hex("zz").is_empty() && admin::from_hex("").is_empty()
    );
}
