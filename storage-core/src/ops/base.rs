//! The bases of deltas: from an entry that is a difference to the bytes it is a difference from. A base is found by its
//! hash, wherever it lies and in whatever form; it is whole itself, so one step is enough.

use bytes::Bytes;
use uuid::Uuid;

use crate::caches::Block;
use crate::catalog::rows::Location;
use crate::catalog::similar::Form;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ids::TenantKey;
use crate::model::Sha256;
use crate::ops::read::StoredObject;
use crate::ops::read::entry_in;
use crate::ops::read::object_in;
use crate::ops::read::transform_in;
use crate::pack::EntryBody;
use crate::pack::TransformId;
use crate::similarity;
use crate::store::Store;

/// The longest base. Longer ones would be read in full for whatever needs them.
pub(crate) const BASE_BYTES_MAX: u64 = 4 << 20;

/// The base that the object at a location needs; none where it is whole.
pub(crate) fn base_hash_in(block: &Block, location: &Location) -> Result<Option<Sha256>> {
    match &entry_in(block, location)?.body {
        EntryBody::Object(object) if object.transform == TransformId::DELTA => {
            similarity::base_of(&object.params).map(Some)
        }
        EntryBody::Object(_) | EntryBody::Message(_) | EntryBody::Segmented(_) => Ok(None),
    }
}

fn lost(base: Sha256, why: &str) -> Error {
    Error::corrupt(format!("Object {base} is needed to read another one, and {why}. Restore from a backup."))
}

impl Store {
    /// The bytes of the base that the object at a location needs; none where it is whole.
    pub(crate) async fn base_in(&self, block: &Block, location: &Location) -> Result<Option<Bytes>> {
        match base_hash_in(block, location)? {
            Some(hash) => self.base(block.tenant, hash).await.map(Some),
            None => Ok(None),
        }
    }

    /// How the object at a location is stored, as the catalog has to know it.
    pub(crate) async fn form_at(&self, tenant: TenantKey, location: &Location) -> Result<Form> {
        let block = self.block(location.pack, location.place.frame).await?;
        let Some(hash) = base_hash_in(&block, location)? else {
            return Ok(Form::Whole);
        };
        let rows = self.catalog.objects_by_hash(tenant, &[hash]).await?;
        let row = rows.first().ok_or_else(|| lost(hash, "the catalog does not know it"))?;
        Ok(Form::Delta { base: row.key, bytes: u64::from(entry_in(&block, location)?.bytes) })
    }

    async fn base(&self, tenant: Uuid, hash: Sha256) -> Result<Bytes> {
        if let Some(bytes) = self.caches.bases.get(&(tenant, hash)) {
            return Ok(bytes);
        }
        let key = self.tenant_key(tenant).await?;
        let rows = self.catalog.objects_by_hash(key, &[hash]).await?;
        let row = rows.first().ok_or_else(|| lost(hash, "the catalog does not know it"))?;
        if row.quarantined {
            return Err(lost(hash, "it can be read nowhere"));
        }
        let bytes = match row.copy {
            Some(copy) => match self.whole(&copy, hash).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::warn!(%error, pack = %copy.pack, "a copy cannot be read; the primary location serves");
                    self.whole(&row.location, hash).await?
                }
            },
            None => self.whole(&row.location, hash).await?,
        };
        self.caches.bases.insert((tenant, hash), bytes.clone());
        Ok(bytes)
    }

    /// An object that is whole, verified.
    async fn whole(&self, location: &Location, hash: Sha256) -> Result<Bytes> {
        let block = self.block(location.pack, location.place.frame).await?;
        if transform_in(&block, location)? == TransformId::DELTA {
            return Err(lost(hash, "it is a difference itself"));
        }
        let location = *location;
        match self.foreground.run(move || object_in(&block, &location, hash, None)).await? {
            StoredObject::Whole(bytes) => Ok(bytes),
            StoredObject::Segmented(pack, object) if object.bytes <= BASE_BYTES_MAX => {
                let whole = self.segments_at_once(pack, &object).await?;
                whole.ok_or_else(|| lost(hash, "its segments do not make it"))
            }
            StoredObject::Segmented(..) => Err(lost(hash, "it is too large for that")),
        }
    }

    /// The key of a tenant by its permanent id.
    async fn tenant_key(&self, id: Uuid) -> Result<TenantKey> {
        if let Some(key) = self.known_tenant_key(id) {
            return Ok(key);
        }
        self.refresh_tenants().await?;
        let unknown =
            || Error::new(Kind::Corrupt, "A frame belongs to a tenant that the catalog does not know.");
        self.known_tenant_key(id).ok_or_else(unknown)
    }
}
