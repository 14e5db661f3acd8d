//! The proof that the crash tests see: a door that breaks a promise, so that effects come in a wrong order, must be caught.

use storage_core::backend::MemoryBackend;
use storage_core::testing::faults::Lie;

use crate::lab::Lab;
use crate::points::Scenario;
use crate::points::crashes;
use crate::rows::Rows;
use crate::scenarios::ALL;
use crate::scenarios::TORN;

fn scenario(name: &str) -> &'static Scenario {
    ALL.iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

/// The same scenario is sound with honest doors, and caught with lying ones.
async fn caught(scenario: &Scenario, lies: &[Lie]) {
    let honest = crashes(scenario, Lab::new(), &[]).await;
    assert!(honest.is_ok(), "{honest:?}");
    let found = crashes(scenario, Lab::new(), lies).await.expect_err("a wrong order of effects");
    eprintln!("caught, {lies:?}: {found}");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_never_synced_is_caught() {
    caught(scenario("a put"), &[Lie::AppendIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn a_log_that_acknowledges_before_its_sync_is_caught() {
    caught(scenario("a put"), &[Lie::AppendIsSyncedLate]).await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_not_synced_is_caught() {
    caught(scenario("deletes"), &[Lie::AppendIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pack_that_is_put_without_a_sync_is_caught() {
    caught(scenario("a migration to warm"), &[Lie::PutIsNotSynced]).await;
}

#[tokio::test(start_paused = true)]
async fn locations_that_are_committed_before_their_pack_is_durable_are_caught() {
    caught(scenario("a migration to warm"), &[Lie::PutIsSyncedLate]).await;
}

#[tokio::test(start_paused = true)]
async fn packs_that_are_deleted_before_the_catalog_is_durable_are_caught() {
    caught(scenario("a sweep"), &[Lie::BarrierDoesNothing]).await;
}

#[tokio::test(start_paused = true)]
async fn a_torn_tail_that_is_not_cut_is_caught() {
    caught(&TORN, &[Lie::TailIsNotCut]).await;
}

/// The name of a new log must be durable before anything in it is acknowledged.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_synced_is_caught() {
    let lab = Lab::over(MemoryBackend::new().with_late_names(), Rows::memory());
    let found = crashes(scenario("a put"), lab, &[]).await.expect_err("a wrong order of effects");
    eprintln!("caught, late names: {found}");
}
