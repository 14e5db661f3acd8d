//! Packs, dictionaries, sweep, statistics and jobs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use uuid::Uuid;

use crate::catalog::rows::JobRow;
use crate::catalog::rows::NewDictionary;
use crate::catalog::rows::NewPack;
use crate::catalog::rows::PackProgress;
use crate::catalog::rows::PackRow;
use crate::catalog::rows::PackState;
use crate::catalog::rows::Statistics;
use crate::catalog::rows::StatisticsRow;
use crate::catalog::similar::Form;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::ids::DictionaryKey;
use crate::ids::JobKey;
use crate::ids::ObjectKey;
use crate::ids::PackKey;
use crate::ids::TenantKey;
use crate::model::Tier;
use crate::pack::RecodedBytes;
use crate::testing::memory_catalog::commit::by_kind;
use crate::testing::memory_catalog::commit::signed;
use crate::testing::memory_catalog::state::Dictionary;
use crate::testing::memory_catalog::state::State;
use crate::testing::memory_catalog::state::refused;

/// Kinds of jobs that the table takes.
const JOB_KINDS: [&str; 7] = ["migrate", "sweep", "compact", "train", "scrub", "repair", "erase"];
const JOB_STATES: [&str; 4] = ["running", "done", "failed", "stopped"];

/// Jobs that are told of at most.
const JOBS_MAX: usize = 100;

impl State {
    pub(super) fn add_pack(&mut self, new: &NewPack) -> Result<PackKey> {
        if self.packs.values().any(|pack| pack.name == new.name) {
            return Err(refused("a pack is there already"));
        }
        let key = PackKey(self.packs.keys().last().map_or(1, |key| key.0 + 1));
        let row = PackRow {
            key,
            name: new.name,
            origin: new.origin,
            tier: new.tier,
            state: if new.sealed { PackState::Sealed } else { PackState::Open },
            progress: new.progress,
            created: new.created,
        };
        let _none = self.packs.insert(key, row);
        self.set_progress(key, new.progress)?;
        Ok(key)
    }

    pub(super) fn seal_pack(&mut self, pack: PackKey, progress: PackProgress) -> Result<()> {
        self.set_progress(pack, progress)?;
        if let Some(row) = self.packs.get_mut(&pack).filter(|row| row.state == PackState::Open) {
            row.state = PackState::Sealed;
        }
        Ok(())
    }

    /// Packs in which something is located.
    fn located(&self) -> BTreeSet<PackKey> {
        let items = self.items.values().flat_map(|item| [Some(item.new.place), item.copy]);
        let objects = self.objects.values().flat_map(|object| [Some(object.place), object.copy]);
        let dictionaries = self.dictionaries.values().map(|dictionary| dictionary.new.pack);
        items.chain(objects).flatten().map(|place| place.pack).chain(dictionaries).collect()
    }

    pub(super) fn remove_pack(&mut self, pack: PackKey) -> Result<()> {
        if self.located().contains(&pack) {
            return Err(refused("a pack is needed"));
        }
        let _row = self.packs.remove(&pack);
        let _at = self.checked.remove(&pack);
        self.needed.retain(|(needing, _)| *needing != pack);
        self.recoded.retain(|(holding, _), _| *holding != pack);
        Ok(())
    }

    pub(super) fn add_pack_recoding(&mut self, pack: PackKey, sums: &[(Uuid, RecodedBytes)]) -> Result<()> {
        if !self.packs.contains_key(&pack) {
            return Err(refused("there is no such pack"));
        }
        for (id, sum) in sums {
            if let Some(tenant) = self.tenants.values().find(|tenant| tenant.id == *id) {
                let _old = self.recoded.insert((pack, tenant.key), *sum);
            }
        }
        Ok(())
    }

    pub(super) fn recoding(&self, tenant: Option<TenantKey>) -> RecodedBytes {
        let of = self.recoded.iter().filter(|((_, owner), _)| tenant.is_none_or(|tenant| tenant == *owner));
        of.fold(RecodedBytes::default(), |sum, (_, more)| sum.plus(*more))
    }

    pub(super) fn recoding_by_pack(&self) -> Vec<(PackKey, RecodedBytes)> {
        let mut sums: BTreeMap<PackKey, RecodedBytes> = BTreeMap::new();
        for ((pack, _), more) in &self.recoded {
            let sum = sums.entry(*pack).or_default();
            *sum = sum.plus(*more);
        }
        sums.into_iter().collect()
    }

    pub(super) fn dead_packs(&self) -> Vec<PackRow> {
        let located = self.located();
        let dead = |pack: &&PackRow| pack.state != PackState::Open && !located.contains(&pack.key);
        self.packs.values().filter(dead).cloned().collect()
    }

    pub(super) fn condemn(&mut self, packs: &[PackKey], at: Timestamp) {
        for key in packs {
            if let Some(row) = self.packs.get_mut(key).filter(|row| row.state == PackState::Sealed) {
                row.state = PackState::Condemned(at);
            }
        }
    }

    pub(super) fn add_dictionary(&mut self, new: &NewDictionary) -> Result<DictionaryKey> {
        let _pack = self.pack(new.pack)?;
        if self.dictionaries.values().any(|other| other.new.id == new.id) {
            return Err(refused("a dictionary is there already"));
        }
        let alike = |other: &&mut Dictionary| (other.new.tenant, other.new.class) == (new.tenant, new.class);
        self.dictionaries.values_mut().filter(alike).for_each(|other| other.active = false);
        let key = DictionaryKey(self.dictionaries.keys().last().map_or(1, |key| key.0 + 1));
        let _none = self.dictionaries.insert(key, Dictionary { new: new.clone(), active: true });
        Ok(key)
    }

    pub(super) fn add_pack_dictionaries(
        &mut self,
        pack: PackKey,
        dictionaries: &[DictionaryKey],
    ) -> Result<()> {
        for key in dictionaries {
            if !self.packs.contains_key(&pack) || !self.dictionaries.contains_key(key) {
                return Err(refused("there is no such pack or dictionary"));
            }
            let _new = self.needed.insert((pack, *key));
        }
        Ok(())
    }

    pub(super) fn prune(&mut self, before: Timestamp) {
        self.gone.retain(|_, deleted| *deleted >= before);
        self.erasures.retain(|row| row.erased.is_none_or(|erased| erased >= before));
        let needed: BTreeSet<DictionaryKey> = self.needed.iter().map(|(_, key)| *key).collect();
        self.dictionaries.retain(|key, dictionary| dictionary.active || needed.contains(key));
    }

    pub(super) fn unreferenced(&self) -> Vec<ObjectKey> {
        let parts = self.items.values().flat_map(|item| &item.parts);
        let referenced: BTreeSet<ObjectKey> = parts.map(|part| part.object).collect();
        let needing = self.deltas.iter().filter(|(delta, _)| referenced.contains(delta));
        let needed: BTreeSet<ObjectKey> = needing.map(|(_, (base, _))| *base).collect();
        let unneeded = |key: &&ObjectKey| !referenced.contains(*key) && !needed.contains(*key);
        let mut keys: Vec<ObjectKey> = self.objects.keys().filter(unneeded).copied().collect();
        // Deltas come before their bases.
        keys.sort_by_key(|key| (self.is_base(*key), *key));
        keys
    }

    pub(super) fn remove_unreferenced(&mut self, limit: u32, day: i64) -> Result<u64> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut removed = 0;
        for key in self.unreferenced().into_iter().take(limit) {
            if self.is_base(key) {
                return Err(refused("a base is needed"));
            }
            let Some(object) = self.objects.remove(&key) else {
                continue;
            };
            self.take_form(key, Form::Whole);
            let (tier, bytes) = (self.tier(object.place)?, signed(object.bytes));
            let sum = self.sum(object.tenant, day, tier);
            sum.objects -= 1;
            sum.object_bytes -= bytes;
            if let Some(copy) = object.copy {
                let tier = self.tier(copy)?;
                self.sum(object.tenant, day, tier).copy_bytes -= bytes;
            }
            removed += 1;
        }
        Ok(removed)
    }

    pub(super) fn statistics_rows(&self, tenant: Option<TenantKey>) -> Vec<StatisticsRow> {
        let of = |row: &StatisticsRow| tenant.is_none_or(|tenant| row.tenant == tenant);
        let rows = self.statistics.iter().map(|((tenant, day, tier), sums)| StatisticsRow {
            tenant: *tenant,
            day: *day,
            tier: *tier,
            sums: *sums,
        });
        rows.filter(of).collect()
    }

    pub(super) fn counted(&self, tenant: Option<TenantKey>) -> Result<Vec<StatisticsRow>> {
        let mut sums: BTreeMap<(TenantKey, Tier), Statistics> = BTreeMap::new();
        for item in self.items.values() {
            let new = &item.new;
            let objects = item.parts.iter().filter_map(|part| self.objects.get(&part.object));
            let referenced = new.skeleton_bytes + objects.map(|object| object.bytes).sum::<u64>();
            let sum = sums.entry((new.tenant, Tier::Hot)).or_default();
            *by_kind(sum, new.kind) += 1;
            sum.logical_bytes += signed(new.bytes);
            sum.referenced_bytes += signed(referenced);
            let sum = sums.entry((new.tenant, self.tier(new.place)?)).or_default();
            sum.skeletons += 1;
            sum.skeleton_bytes += signed(new.skeleton_bytes);
            if let Some(copy) = item.copy {
                let sum = sums.entry((new.tenant, self.tier(copy)?)).or_default();
                sum.copy_bytes += signed(new.skeleton_bytes);
            }
        }
        for object in self.objects.values() {
            let sum = sums.entry((object.tenant, self.tier(object.place)?)).or_default();
            sum.objects += 1;
            sum.object_bytes += signed(object.bytes);
            if let Some(copy) = object.copy {
                let sum = sums.entry((object.tenant, self.tier(copy)?)).or_default();
                sum.copy_bytes += signed(object.bytes);
            }
        }
        let of = |row: &StatisticsRow| tenant.is_none_or(|tenant| row.tenant == tenant);
        let row = |((tenant, tier), sums)| StatisticsRow { tenant, day: 0, tier, sums };
        Ok(sums.into_iter().map(row).filter(of).collect())
    }

    pub(super) fn objects_by_class(&self, tenant: Option<TenantKey>) -> Vec<(u8, u64, u64)> {
        let mut classes: BTreeMap<u8, (u64, u64)> = BTreeMap::new();
        for object in self.objects.values() {
            if tenant.is_none_or(|tenant| object.tenant == tenant) {
                let class = classes.entry(object.class).or_default();
                *class = (class.0 + 1, class.1 + object.bytes);
            }
        }
        classes.into_iter().map(|(class, (count, bytes))| (class, count, bytes)).collect()
    }

    pub(super) fn start_job(&mut self, kind: &str, at: Timestamp) -> Result<JobKey> {
        if !JOB_KINDS.contains(&kind) {
            return Err(refused("an unknown kind of job"));
        }
        let id = self.jobs.keys().last().map_or(1, |id| id + 1);
        let row = JobRow {
            id,
            kind: kind.to_owned(),
            state: "running".to_owned(),
            created: at,
            ended: None,
            detail: String::new(),
        };
        let _none = self.jobs.insert(id, row);
        Ok(JobKey(id))
    }

    pub(super) fn end_job(
        &mut self,
        job: JobKey,
        (state, detail): (&str, &str),
        at: Timestamp,
    ) -> Result<()> {
        if !JOB_STATES.contains(&state) {
            return Err(refused("an unknown state of a job"));
        }
        if let Some(row) = self.jobs.get_mut(&job.0) {
            end(row, (state, detail), at);
        }
        Ok(())
    }

    pub(super) fn stop_orphaned_jobs(&mut self, at: Timestamp) {
        for row in self.jobs.values_mut().filter(|row| row.state == "running") {
            end(row, ("stopped", "The process ended before the job did."), at);
        }
    }

    pub(super) fn job_rows(&self) -> Vec<JobRow> {
        self.jobs.values().rev().take(JOBS_MAX).cloned().collect()
    }
}

/// Notes how a job ended.
fn end(row: &mut JobRow, (state, detail): (&str, &str), at: Timestamp) {
    state.clone_into(&mut row.state);
    detail.clone_into(&mut row.detail);
    row.ended = Some(at);
}
