//! A put whose item is stored already and that brings the bytes of a quarantined object: the objects are written again,
//! in a block that holds no message, and nothing else of the put is.

use crate::catalog::rows::NewObject;
use crate::codec::Codec;
use crate::error::Result;
use crate::ops::log::group::Group;
use crate::ops::log::group::push_object;
use crate::ops::log::pack::OpenPack;
use crate::ops::prepared::ObjectBytes;
use crate::ops::prepared::PreparedPut;
use crate::pack::BlockBuilder;

impl Group {
    /// Writes the quarantined objects of a put that are not in the group yet.
    pub(super) fn mend(&mut self, open: &mut OpenPack, put: &PreparedPut) -> Result<()> {
        let tenant = put.tenant.key;
        let mut block = BlockBuilder::new(put.tenant.id);
        let mut written = Vec::new();
        for object in &put.objects {
            let sent = matches!(object.data, ObjectBytes::Whole(_));
            let wanted = sent && self.known.is_quarantined(tenant, object.sha256);
            if !wanted || self.find(tenant, object.sha256).is_some() {
                continue;
            }
            let entry = push_object(open, put, &mut block, object)?;
            let index = self.commit.objects.len() + written.len();
            let _ = self.fresh.insert((tenant, object.sha256), index);
            written.push((object, entry));
        }
        if written.is_empty() {
            return Ok(());
        }
        let frame = open.place(block.finish(&Codec::None, &Codec::None)?)?;
        for (object, entry) in written {
            self.commit.objects.push(NewObject {
                tenant,
                sha256: object.sha256,
                bytes: object.bytes,
                class: object.class.code(),
                place: open.entry_place(frame, entry),
            });
        }
        Ok(())
    }
}
