//! Looking for objects that are nearly the same as one that moves. Its signature is taken as it passes and put into the
//! index; on the way to cold or archive, those that share features with it are tried as bases.
//!
//! Chains are one long: what may become a delta in this run is no base, and what is a base does not become a delta. The
//! catalog refuses a move that would break this, so the sets here only save work.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::catalog::rows::ObjectRow;
use crate::catalog::rows::TenantRow;
use crate::catalog::rows::UnitKey;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::ObjectKey;
use crate::ids::TenantKey;
use crate::media::MediaClass;
use crate::ops::base::BASE_BYTES_MAX;
use crate::ops::log::group::SEGMENT_BYTES;
use crate::ops::read::StoredObject;
use crate::ops::rewrite::unit::Change;
use crate::ops::rewrite::unit::PlannedUnit;
use crate::ops::similar::ranked;
use crate::pack::SegmentedEntry;
use crate::recode;
use crate::similarity::Base;
use crate::similarity::Feature;
use crate::similarity::Signature;
use crate::similarity::is_useful;
use crate::store::Store;

/// Objects that have a feature from which it tells nothing of one of them.
const CROWDED: usize = 16;

/// Bases that are tried for one object.
const TRIED: usize = 3;

/// A base is at most so many times as long as its delta's object: it has to be read for it.
const BASE_RATIO_MAX: u64 = 8;

/// Bases that are kept at hand.
const AT_HAND: usize = 8;

/// Bytes of them, but for one.
const AT_HAND_BYTES: usize = 8 << 20;

/// A base to try, by its key.
pub(super) type Candidate = (ObjectKey, Arc<Base>);

/// What one run knows of bases and deltas.
#[derive(Debug)]
pub(super) struct Similar {
    store: Arc<Store>,
    /// What is a base since this run began: it does not become a delta.
    bases: HashSet<ObjectKey>,
    /// What is being tried as a delta: it is no base.
    open: HashSet<ObjectKey>,
    /// What this run made deltas, with their bases.
    deltas: HashMap<ObjectKey, ObjectKey>,
    at_hand: VecDeque<Candidate>,
}

impl Similar {
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Self {
            store: Arc::clone(store),
            bases: HashSet::new(),
            open: HashSet::new(),
            deltas: HashMap::new(),
            at_hand: VecDeque::new(),
        }
    }

    /// Puts an object into the index and returns bases to try, the likeliest first; none where it moves to a tier
    /// without deltas.
    pub(super) async fn look(
        &mut self,
        tenant: &TenantRow,
        unit: &PlannedUnit,
        (object, deltas): (&Bytes, bool),
    ) -> Result<Vec<Candidate>> {
        let UnitKey::Object(key) = unit.key else {
            return Ok(Vec::new());
        };
        if unit.change != Change::Move || !is_useful(unit.class, unit.bytes) {
            return Ok(Vec::new());
        }
        let (class, bytes) = (unit.class, object.clone());
        let signature = self.store.background.run(move || Ok(Signature::of(class, &bytes))).await?;
        let Some(signature) = signature else {
            return Ok(Vec::new());
        };
        let holders = self.index(tenant.key, key, &signature).await?;
        if !deltas || self.is_base(tenant.key, key).await? {
            return Ok(Vec::new());
        }
        let ranked = ranked(key, &holders).into_iter().take(2 * TRIED).collect();
        let candidates = self.candidates(tenant.key, (key, unit.bytes), ranked).await?;
        if !candidates.is_empty() {
            let _new = self.open.insert(key);
            self.bases.extend(candidates.iter().map(|(base, _)| *base));
        }
        Ok(candidates)
    }

    /// Puts a large object into the index, piece by piece: what shares one of its pieces may become a delta of it.
    pub(super) async fn note_large(
        &mut self,
        tenant: &TenantRow,
        unit: &PlannedUnit,
        (pack, entry): (Uuid, &SegmentedEntry),
    ) -> Result<()> {
        let UnitKey::Object(key) = unit.key else {
            return Ok(());
        };
        if unit.change != Change::Move || entry.bytes > BASE_BYTES_MAX || !recode::applies(unit.class) {
            return Ok(());
        }
        // What is damaged is told by whoever moves it.
        let object = match self.store.segments_at_once(pack, entry).await {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(()),
            Err(error) if is_unreadable(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let class = unit.class;
        let signatures = self.store.background.run(move || Ok(of_pieces(class, &object))).await?;
        for signature in signatures {
            let _holders = self.index(tenant.key, key, &signature).await?;
        }
        Ok(())
    }

    /// Puts an object into the index that stays where it is.
    pub(super) async fn note(&mut self, tenant: &TenantRow, row: &ObjectRow) -> Result<()> {
        let class = MediaClass::of_code(row.class);
        let Some(object) = self.read(row).await? else {
            return Ok(());
        };
        let signatures = self.store.background.run(move || Ok(of_pieces(class, &object))).await?;
        for signature in signatures {
            let _holders = self.index(tenant.key, row.key, &signature).await?;
        }
        Ok(())
    }

    /// Notes what became of an object for which bases were tried.
    pub(super) fn settle(&mut self, unit: UnitKey, base: Option<ObjectKey>) {
        let UnitKey::Object(key) = unit else {
            return;
        };
        let _was_open = self.open.remove(&key);
        if let Some(base) = base {
            let _none = self.deltas.insert(key, base);
        }
    }

    /// Looks up what else has the features of an object, and adds its own.
    async fn index(
        &self,
        tenant: TenantKey,
        key: ObjectKey,
        signature: &Signature,
    ) -> Result<Vec<(Feature, ObjectKey)>> {
        let holders = self.store.catalog.holders(tenant, &signature.asked()).await?;
        // What an index keeps of a signature is among what it is asked for.
        if holders.iter().any(|(_, holder)| *holder == key) {
            return Ok(holders);
        }
        let mut crowds: HashMap<Feature, usize> = HashMap::new();
        for (feature, _) in &holders {
            *crowds.entry(*feature).or_default() += 1;
        }
        let crowded = |feature| crowds.get(&feature).is_some_and(|crowd| *crowd >= CROWDED);
        let rows: Vec<(ObjectKey, Feature)> =
            signature.kept(crowded).into_iter().map(|feature| (key, feature)).collect();
        self.store.catalog.add_features(tenant, &rows).await?;
        Ok(holders)
    }

    async fn is_base(&self, tenant: TenantKey, key: ObjectKey) -> Result<bool> {
        Ok(self.bases.contains(&key) || !self.store.catalog.deltas_on(tenant, &[key]).await?.is_empty())
    }

    /// The bases among these objects, or those that they are deltas of.
    async fn candidates(
        &mut self,
        tenant: TenantKey,
        (key, bytes): (ObjectKey, u64),
        ranked: Vec<ObjectKey>,
    ) -> Result<Vec<Candidate>> {
        let known = self.store.catalog.deltas_of(tenant, &ranked).await?;
        let mut wanted: Vec<ObjectKey> = Vec::with_capacity(ranked.len());
        for found in ranked {
            let of = known.iter().find(|row| row.object == found).map(|row| row.base);
            let base = self.deltas.get(&found).copied().or(of).unwrap_or(found);
            if base != key && !self.open.contains(&base) && !wanted.contains(&base) {
                wanted.push(base);
            }
        }
        let rows = self.store.catalog.objects_by_key(tenant, &wanted).await?;
        let mut candidates = Vec::new();
        for base in wanted {
            let Some(row) = rows.iter().find(|row| row.key == base) else {
                continue;
            };
            let fits = row.bytes <= BASE_BYTES_MAX && row.bytes <= bytes.saturating_mul(BASE_RATIO_MAX);
            if row.quarantined || !fits || self.store.catalog.references(base).await? == 0 {
                continue;
            }
            candidates.extend(self.base(row).await?.map(|prepared| (base, prepared)));
            if candidates.len() == TRIED {
                break;
            }
        }
        Ok(candidates)
    }

    /// The bytes of an object that may be a base; none where it cannot be read or is too long.
    async fn read(&self, row: &ObjectRow) -> Result<Option<Bytes>> {
        let read = match self.store.object(&row.location, row.sha256).await {
            Ok(StoredObject::Whole(object)) => Ok(Some(object)),
            Ok(StoredObject::Segmented(..)) if row.bytes > BASE_BYTES_MAX => Ok(None),
            Ok(StoredObject::Segmented(pack, entry)) => self.store.segments_at_once(pack, &entry).await,
            Err(error) => Err(error),
        };
        match read {
            Err(error) if is_unreadable(&error) => Ok(None),
            read => read,
        }
    }

    /// A base, prepared; none where it cannot be read.
    async fn base(&mut self, row: &ObjectRow) -> Result<Option<Arc<Base>>> {
        if let Some((_, base)) = self.at_hand.iter().find(|(key, _)| *key == row.key) {
            return Ok(Some(Arc::clone(base)));
        }
        let Some(bytes) = self.read(row).await? else {
            return Ok(None);
        };
        let (hash, class) = (row.sha256, MediaClass::of_code(row.class));
        let prepare = move || Ok(Arc::new(Base::new(hash, class, bytes.to_vec())));
        let base = self.store.background.run(prepare).await?;
        self.at_hand.truncate(AT_HAND - 1);
        self.at_hand.push_front((row.key, Arc::clone(&base)));
        while self.at_hand.len() > 1
            && self.at_hand.iter().map(|(_, base)| base.bytes()).sum::<usize>() > AT_HAND_BYTES
        {
            let _oldest = self.at_hand.pop_back();
        }
        Ok(Some(base))
    }
}

/// The signatures of the pieces of a large object: a part of it that is shared would be lost in one of the whole.
fn of_pieces(class: MediaClass, object: &[u8]) -> Vec<Signature> {
    let (mut signatures, mut rest) = (Vec::new(), object);
    for length in recode::cuts(object, SEGMENT_BYTES) {
        let (piece, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        signatures.extend(Signature::of(class, piece));
        rest = behind;
    }
    signatures
}

/// Whether something is damaged, cannot be read, or was written by a newer version.
fn is_unreadable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Corrupt | Kind::Io | Kind::Unimplemented)
}
