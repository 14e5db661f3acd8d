//! Deletes, updates, policies, tenants: the same order as a put. The record is durable in the log before the catalog
//! commits it and anybody is told.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::catalog::rows::ItemChange;
use crate::catalog::rows::ItemDelete;
use crate::catalog::rows::ItemRow;
use crate::catalog::rows::LogChange;
use crate::catalog::rows::LogCommit;
use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::error::Error;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::ItemKind;
use crate::model::ItemUpdate;
use crate::ops::log::Change;
use crate::ops::log::Log;
use crate::ops::log::Reply;
use crate::ops::log::answer;
use crate::ops::log::group::refuse_all;
use crate::pack::EncodedFrame;
use crate::pack::Fields;
use crate::pack::ItemRecord;
use crate::pack::PolicyRecord;
use crate::pack::TenantRecord;
use crate::pack::TierPolicyRecord;
use crate::pack::Tombstone;
use crate::pack::policy_frame;
use crate::pack::tenant_frame;
use crate::pack::tombstone_frame;
use crate::store::Store;

type Waiting = (Change, Reply<()>);

impl Log {
    /// Applies changes in groups in which nothing is changed twice, so that each sees what came before it.
    pub(super) async fn apply_changes(&mut self, changes: Vec<Waiting>) {
        if changes.is_empty() {
            return;
        }
        self.committer.settle().await;
        let mut group = Vec::new();
        let mut touched = HashSet::new();
        for (change, reply) in changes {
            if !touched.insert(subject(&change)) {
                self.apply_distinct(std::mem::take(&mut group)).await;
                touched.clear();
                let _ = touched.insert(subject(&change));
            }
            group.push((change, reply));
        }
        self.apply_distinct(group).await;
    }

    async fn apply_distinct(&mut self, changes: Vec<Waiting>) {
        let now = self.store.now();
        let mut frames = Vec::new();
        let mut commit = LogCommit { at: now, ..LogCommit::default() };
        let mut replies = Vec::new();
        for (change, reply) in changes {
            match self.check(&change, now).await {
                Ok(Some((frame, row))) => {
                    frames.push(frame);
                    commit.changes.push(row);
                    replies.push(reply);
                }
                Ok(None) => answer(reply, Ok(())),
                Err(error) => answer(reply, Err(error)),
            }
        }
        if replies.is_empty() {
            return;
        }
        match self.write_changes(frames, commit, now).await {
            Ok(()) => replies.into_iter().for_each(|reply| answer(reply, Ok(()))),
            Err(error) => refuse_all(replies.into_iter(), &error),
        }
    }

    async fn check(&self, change: &Change, now: Timestamp) -> Result<Option<(EncodedFrame, LogChange)>> {
        self.store.check_writable()?;
        match change {
            Change::CreateTenant { name } => self.create_tenant(name, now),
            Change::SetPolicy { tenant, policy } => {
                let json = policy.as_ref().map(serde_json::to_string).transpose();
                let json = json
                    .map_err(|source| Error::internal("A policy cannot be written.").with_source(source))?;
                let record = TierPolicyRecord {
                    sequence: self.store.next_sequence(now),
                    changed: now,
                    json: json.clone(),
                    unknown: Fields::default(),
                };
                let frame = policy_frame(tenant.id, &[PolicyRecord::Tier(record)], &Codec::None)?;
                Ok(Some((frame, LogChange::Policy { tenant: tenant.key, policy: json })))
            }
            Change::Delete { tenant, kind, id } => {
                let row = find(&self.store, tenant.key, *kind, *id).await?;
                check_deletable(&row, now)?;
                Ok(Some(delete(tenant.id, tenant.key, &row, now)?))
            }
            Change::Update { tenant, kind, id, update } => {
                let row = find(&self.store, tenant.key, *kind, *id).await?;
                let when = (now, self.store.next_sequence(now));
                Ok(Some(self::update((tenant.id, tenant.key), row, update, when)?))
            }
            Change::Erase { tenant, kind, id, remains } => {
                self.erasing(tenant, (*kind, *id), remains, now).await
            }
        }
    }

    fn create_tenant(&self, name: &str, now: Timestamp) -> Result<Option<(EncodedFrame, LogChange)>> {
        if self.store.known_tenant(name).is_some() {
            return Err(Error::new(
                crate::error::Kind::AlreadyExists,
                format!("There is a tenant {name:?} already. Choose another name."),
            ));
        }
        let id = self.store.ids.next(now)?;
        let record = TenantRecord { id, name: name.to_owned(), created: now, unknown: Fields::default() };
        let frame = tenant_frame(&record, &Codec::None)?;
        Ok(Some((frame, LogChange::Tenant { id, name: name.to_owned(), created: now })))
    }

    async fn write_changes(
        &mut self,
        frames: Vec<EncodedFrame>,
        mut commit: LogCommit,
        now: Timestamp,
    ) -> Result<()> {
        let store = Arc::clone(&self.store);
        let open = self.open_pack(now).await?;
        let written = async {
            for frame in frames {
                let _ = open.place(frame)?;
            }
            let progress = open.append_sync().await?;
            commit.packs.push((open.key, progress));
            commit.sequence = store.newest_sequence();
            store.catalog.commit(&commit).await?;
            store.refresh_tenants().await
        };
        written.await.inspect_err(|_| store.shut_for_writes())
    }
}

/// What a change is about: no group changes the same thing twice.
fn subject(change: &Change) -> (Option<TenantKey>, Option<Uuid>, String) {
    match change {
        Change::CreateTenant { name } => (None, None, name.clone()),
        Change::SetPolicy { tenant, .. } => (Some(tenant.key), None, String::new()),
        Change::Delete { tenant, id, .. }
        | Change::Update { tenant, id, .. }
        | Change::Erase { tenant, id, .. } => (Some(tenant.key), Some(*id), String::new()),
    }
}

async fn find(store: &Store, tenant: TenantKey, kind: ItemKind, id: Uuid) -> Result<ItemRow> {
    let found = store.catalog.item_by_uuid(tenant, kind, id).await?;
    found.ok_or_else(|| Error::not_found(format!("There is no {} {id}.", kind.name())))
}

/// Whether nothing forbids to delete an item.
pub(crate) fn check_deletable(row: &ItemRow, now: Timestamp) -> Result<()> {
    if row.hold {
        return Err(Error::precondition("It is under a hold. Lift the hold first."));
    }
    if row.expires.is_some_and(|end| end > now) {
        return Err(Error::precondition("Its retention has not ended. Change the retention end first."));
    }
    Ok(())
}

fn delete(tenant: Uuid, key: TenantKey, row: &ItemRow, now: Timestamp) -> Result<(EncodedFrame, LogChange)> {
    let tombstone = Tombstone {
        item: row.id,
        kind: row.kind,
        caller_id: row.caller_id.clone(),
        deleted: now,
        erase: None,
        unknown: Fields::default(),
    };
    let frame = tombstone_frame(tenant, &[tombstone], &Codec::None)?;
    let delete = ItemDelete {
        tenant: key,
        kind: row.kind,
        id: row.id,
        caller_id: row.caller_id.clone(),
        deleted: now,
    };
    Ok((frame, LogChange::Delete(delete)))
}

fn update(
    (tenant, key): (Uuid, TenantKey),
    mut row: ItemRow,
    update: &ItemUpdate,
    (now, sequence): (Timestamp, u64),
) -> Result<(EncodedFrame, LogChange)> {
    row.labels.extend(update.labels_set.clone());
    row.labels.retain(|name, _| !update.labels_removed.contains(name));
    crate::ops::prepared::check_labels(&row.labels)?;
    let change = ItemChange {
        tenant: key,
        kind: row.kind,
        id: row.id,
        expires: update.retention_end.unwrap_or(row.expires),
        hold: update.hold.unwrap_or(row.hold),
        pin: update.pin.unwrap_or(row.pin),
        labels: row.labels,
    };
    let record = ItemRecord {
        item: row.id,
        kind: row.kind,
        sequence,
        changed: now,
        retention_end: change.expires,
        hold: change.hold,
        pin: change.pin,
        labels: change.labels.clone(),
        unknown: Fields::default(),
    };
    let frame = policy_frame(tenant, &[PolicyRecord::Item(record)], &Codec::None)?;
    Ok((frame, LogChange::Update(change)))
}
