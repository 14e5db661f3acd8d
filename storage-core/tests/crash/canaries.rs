//! The proof that the crash tests see: a door that breaks a promise, so that effects come in a wrong order, must be caught.

use storage_core::backend::MemoryBackend;
use storage_core::testing::faults::Lie;

use crate::lab::Lab;
use crate::packs::Packs;
use crate::points::crashes;
use crate::rows::Rows;
use crate::runs::named;
use crate::upkeep::TORN;

/// The same scenario is sound with honest doors, and caught with lying ones.
async fn caught(name: &str, lies: &[Lie]) {
    let scenario = &named(&[name])[0];
    let honest = crashes(scenario, Lab::new(), &[]).await;
    assert!(honest.is_ok(), "{honest:?}");
    let found = crashes(scenario, Lab::new(), lies).await.expect_err("a wrong order of effects");
    eprintln!("caught, {lies:?}: {found}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_never_synced_is_caught() {
    caught("a put", &[Lie::AppendIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_acknowledges_before_its_sync_is_caught() {
    caught("a put", &[Lie::AppendIsSyncedLate]).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_not_synced_is_caught() {
    caught("deletes", &[Lie::AppendIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pack_that_is_put_without_a_sync_is_caught() {
    caught("a migration to warm", &[Lie::PutIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn locations_that_are_committed_before_their_pack_is_durable_are_caught() {
    caught("a migration to warm", &[Lie::PutIsSyncedLate]).await;
}

#[tokio::test(start_paused = true)]
async fn packs_that_are_deleted_before_the_catalog_is_durable_are_caught() {
    caught("a sweep", &[Lie::BarrierDoesNothing]).await;
}

#[tokio::test(start_paused = true)]
async fn a_torn_tail_that_is_not_cut_is_caught() {
    caught(TORN.name, &[Lie::TailIsNotCut]).await;
}

/// The name of a new log must be durable before anything in it is acknowledged.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_synced_is_caught() {
    let lab = Lab::over(Packs::Memory(MemoryBackend::new().with_late_names()), Rows::memory());
    let found = crashes(&named(&["a put"])[0], lab, &[]).await.expect_err("a wrong order of effects");
    eprintln!("caught, late names: {found}");
}
