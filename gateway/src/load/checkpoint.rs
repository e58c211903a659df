//! A checkpoint with its files open, which gives out the bytes of its storages.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use secure_torch_core::checkpoint::{self as core, Object, Place, Storage, StorageId, sparse};
use secure_torch_core::limits::Limits;

use super::block::{self, Block};
use super::failed;
use crate::error::{Code, Error};
use crate::source::{PrivateMap, Source};

/// How often indices may be read for the sparse tensors that share them, and how many bytes of them
/// in any case.
const SHARED_INDICES: u64 = 64;
const SHARED_FLOOR: u64 = 64 << 20;

/// What was in a model file, and the file itself, kept open.
///
/// It dereferences to the core's [`Checkpoint`](core::Checkpoint), which says what it holds.
#[derive(Debug)]
pub struct Checkpoint {
    data: core::Checkpoint,
    files: Vec<Arc<Source>>,
    limits: Limits,
    /// What had to be unpacked, reversed or kept from change, by storage. Only read.
    made: Vec<OnceLock<Block>>,
    /// What was handed out for writing, by storage. Never read here.
    handed: Vec<OnceLock<Arc<Block>>>,
    /// How wide the widest element is that a tensor sees in each storage.
    widest: Vec<u8>,
    /// The writable twin of each file's mapping.
    private: Vec<OnceLock<Option<Arc<PrivateMap>>>>,
}

/// The memory of a storage, for a consumer that may write to it.
///
/// Where it lies in a mapping of the file, the mapping is private: what is written is seen through
/// this checkpoint alone and never reaches the file. It lives as long as this value or a clone.
#[derive(Clone, Debug)]
pub struct Memory {
    start: NonNull<u8>,
    length: usize,
    mapped: bool,
    #[expect(dead_code, reason = "it keeps the memory alive")]
    owner: Owner,
}

#[derive(Clone, Debug)]
#[expect(dead_code, reason = "they keep the memory alive")]
enum Owner {
    Map(Arc<PrivateMap>),
    Block(Arc<Block>),
}

// SAFETY: a `Memory` is an address with what keeps it alive; nothing is read or written through it
// in this crate, and both kinds of owner can be sent and shared.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The first byte. Aligned for the storage's element type, and for that of every tensor over it.
    #[must_use]
    pub const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether it is the file's own mapping, of which nothing was copied.
    #[must_use]
    pub const fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// A part of it, which keeps the whole alive; nothing where that has no such part.
    #[must_use]
    pub fn part(self, offset: u64, length: usize) -> Option<Self> {
        let start = usize::try_from(offset).ok()?;
        start.checked_add(length).filter(|&end| end <= self.length)?;
        // SAFETY: the part lies inside the memory, as was just counted.
        let start = unsafe { self.start.add(start) };
        Some(Self { start, length, ..self })
    }
}

impl Deref for Checkpoint {
    type Target = core::Checkpoint;

    fn deref(&self) -> &core::Checkpoint {
        &self.data
    }
}

impl Checkpoint {
    /// A checkpoint over files that are open, in the order of their numbers.
    pub(crate) fn new(
        data: core::Checkpoint,
        files: Vec<Arc<Source>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let made = data.storages().iter().map(|_| OnceLock::new()).collect();
        let handed = data.storages().iter().map(|_| OnceLock::new()).collect();
        let private = files.iter().map(|_| OnceLock::new()).collect();
        let widest = widest(&data);
        let made = Self { data, files, limits, made, handed, widest, private };
        made.check_sparse()?;
        Ok(made)
    }

    /// The files that it was opened from.
    #[must_use]
    pub fn files(&self) -> &[Arc<Source>] {
        &self.files
    }

    pub(crate) fn name(&self) -> &str {
        self.files.first().map_or("", |file| file.name())
    }

    pub(crate) fn lost(&self, id: StorageId) -> Error {
        let cause = format!("the bytes of storage {} are not in the file", id.index());
        Error::new(Code::Malformed, self.name(), cause)
    }

    /// The bytes of a storage, in little-endian order: of the file where they lie there as they are,
    /// else unpacked the first time that they are asked for.
    ///
    /// # Errors
    /// [`Code::Malformed`] where the member does not unpack to what it declares, and
    /// [`Code::TooLarge`] past a limit or without memory for it.
    pub fn storage_bytes(&self, id: StorageId) -> Result<&[u8], Error> {
        if let Some(bytes) = self.kept(id) {
            return Ok(bytes);
        }
        let storage = self.data.storage(id).ok_or_else(|| self.lost(id))?;
        match self.raw(id)? {
            Cow::Borrowed(bytes) if !storage.swapped => Ok(bytes),
            bytes => self.keep(id, &bytes, storage.swapped),
        }
    }

    /// [`Self::storage_bytes`] for a caller who looks at them once: what has to be made of them is
    /// not kept.
    pub(crate) fn passing_bytes(&self, id: StorageId) -> Result<Cow<'_, [u8]>, Error> {
        if let Some(bytes) = self.kept(id) {
            return Ok(Cow::Borrowed(bytes));
        }
        let storage = self.data.storage(id).ok_or_else(|| self.lost(id))?;
        let mut bytes = self.raw(id)?;
        if storage.swapped {
            reverse(bytes.to_mut(), storage.dtype.swap_width());
        }
        Ok(bytes)
    }

    /// The bytes of a storage as they are stored, unpacked.
    fn raw(&self, id: StorageId) -> Result<Cow<'_, [u8]>, Error> {
        let lost = || self.lost(id);
        let storage = self.data.storage(id).ok_or_else(lost)?;
        let length = usize::try_from(storage.bytes).map_err(|_| lost())?;
        let slice = |bytes, offset: u64| slice(bytes, offset, length).ok_or_else(lost);
        match storage.place {
            Place::File { file, offset } => {
                let file = self.files.get(file as usize).ok_or_else(lost)?;
                slice(file.bytes(), offset).map(Cow::Borrowed)
            }
            Place::Owned(span) => slice(self.data.bytes(span), 0).map(Cow::Borrowed),
            Place::View { of, offset } if of < id => {
                slice(self.storage_bytes(of)?, offset).map(Cow::Borrowed)
            }
            Place::View { .. } => Err(lost()),
            Place::Member { file, header } => {
                let file = self.files.get(file as usize).ok_or_else(lost)?;
                super::torch::unpack(file, header, length, &self.limits).map(Cow::Owned)
            }
        }
    }

    /// A block of these bytes, reversed where they stand in the other order.
    fn block(&self, id: StorageId, bytes: &[u8], swapped: bool) -> Result<Block, Error> {
        self.fill(id, bytes.len(), swapped, |block| {
            block.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// A block of so many bytes that `copy` gives, reversed where they stand in the other order.
    fn fill(
        &self,
        id: StorageId,
        length: usize,
        swapped: bool,
        copy: impl FnOnce(&mut [u8]) -> Result<(), Error>,
    ) -> Result<Block, Error> {
        let width = self.data.storage(id).map_or(1, |storage| storage.dtype.swap_width());
        let filled = Block::fill(length, |block| {
            copy(block)?;
            if swapped {
                reverse(block, width);
            }
            Ok(())
        });
        let full = || Error::new(Code::TooLarge, self.name(), "it does not fit in memory");
        filled.unwrap_or_else(|| Err(full()))
    }

    /// What a storage's memory is aligned to: its own elements, and those of every tensor over it,
    /// which may be of another type.
    fn align(&self, id: StorageId) -> u64 {
        self.widest.get(id.index()).copied().unwrap_or(1).into()
    }

    fn kept(&self, id: StorageId) -> Option<&[u8]> {
        let block = self.made.get(id.index())?.get()?;
        // SAFETY: blocks of `made` are never handed out for writing.
        Some(unsafe { block.bytes() })
    }

    fn keep(&self, id: StorageId, bytes: &[u8], swapped: bool) -> Result<&[u8], Error> {
        let block = self.block(id, bytes, swapped)?;
        if let Some(slot) = self.made.get(id.index()) {
            // Another thread may have been first, with the same bytes.
            let _ = slot.set(block);
        }
        self.kept(id).ok_or_else(|| self.lost(id))
    }

    /// The memory of a storage for a consumer that may write to it, aligned for its elements: a
    /// private mapping of the file where the bytes lie there as they are, else a copy.
    ///
    /// The same storage is the same memory each time. What is written to it is not seen by
    /// [`Self::storage_bytes`].
    ///
    /// # Errors
    /// As [`Self::storage_bytes`].
    pub fn memory(&self, id: StorageId) -> Result<Memory, Error> {
        let lost = || self.lost(id);
        let storage = self.data.storage(id).ok_or_else(lost)?;
        let length = usize::try_from(storage.bytes).map_err(|_| lost())?;
        let kept = self.kept(id).is_some();
        match storage.place {
            // What was kept was checked, and the storage around it was not.
            Place::View { of, offset } if of < id && !kept => {
                let memory = self.memory(of)?.part(offset, length).ok_or_else(lost)?;
                // An array behind a header of odd length, in what a member unpacks to.
                if is_aligned(memory.start, self.align(id)) {
                    return Ok(memory);
                }
            }
            Place::File { file, offset } if !kept && !storage.swapped => {
                let mapped = self.mapped(file, offset, length, self.align(id));
                if let Some(memory) = mapped {
                    return Ok(memory);
                }
            }
            _ => {}
        }
        self.copy(id)
    }

    /// The memory of a storage for a consumer that may write to it, which shares nothing with the
    /// file.
    ///
    /// The same storage is the same memory each time, but for one that [`Self::memory`] gave from the
    /// mapping.
    ///
    /// # Errors
    /// As [`Self::storage_bytes`].
    pub fn copy(&self, id: StorageId) -> Result<Memory, Error> {
        let lost = || self.lost(id);
        let slot = self.handed.get(id.index()).ok_or_else(lost)?;
        let &Storage { bytes, place, swapped, .. } = self.data.storage(id).ok_or_else(lost)?;
        if let Place::View { of, offset } = place
            && of < id
            && self.kept(id).is_none()
        {
            let length = usize::try_from(bytes).map_err(|_| lost())?;
            let memory = self.copy(of)?.part(offset, length).ok_or_else(lost)?;
            if is_aligned(memory.start, self.align(id)) {
                return Ok(memory);
            }
        }
        if slot.get().is_none() {
            let block = match (self.kept(id), place) {
                (Some(bytes), _) => self.block(id, bytes, false)?,
                // For less than that a call costs more than the pages do.
                (None, Place::File { file, offset }) if bytes >= block::LARGE as u64 => {
                    let file = self.files.get(file as usize).ok_or_else(lost)?;
                    let length = usize::try_from(bytes).map_err(|_| lost())?;
                    let end = offset.checked_add(bytes);
                    if end.is_none_or(|end| end > file.bytes().len() as u64) {
                        return Err(lost());
                    }
                    self.fill(id, length, swapped, |block| file.copy_to(offset, block))?
                }
                (None, _) => self.block(id, &self.raw(id)?, swapped)?,
            };
            let _ = slot.set(Arc::new(block));
        }
        let block = slot.get().ok_or_else(lost)?;
        let length = block.len();
        Ok(Memory {
            start: block.start(),
            length,
            mapped: false,
            owner: Owner::Block(Arc::clone(block)),
        })
    }

    /// Makes ready, in parallel, whatever [`Self::memory`] (or with `copy`, [`Self::copy`]) would
    /// have to unpack, reverse or copy, so that it gives each storage at once.
    ///
    /// # Errors
    /// As [`Self::storage_bytes`]; [`Code::TooLarge`] where compressed storages take more together
    /// than the limit.
    pub fn prepare(&self, copy: bool) -> Result<(), Error> {
        let ids = (0..self.data.storages().len()).filter_map(|index| self.data.storage_id(index));
        let (mut packed, mut lying, mut bytes, mut wanted) = (0_u64, 0_u64, 0_u64, Vec::new());
        for id in ids {
            let Some(storage) = self.data.storage(id) else { continue };
            match storage.place {
                Place::Member { .. } => packed = packed.saturating_add(storage.bytes),
                Place::View { .. } => continue,
                Place::File { file, offset } if !copy && !storage.swapped => {
                    let length = usize::try_from(storage.bytes).unwrap_or(usize::MAX);
                    let width = self.align(id);
                    if self.kept(id).is_none() && self.mapped(file, offset, length, width).is_some()
                    {
                        continue;
                    }
                    lying = lying.saturating_add(storage.bytes);
                }
                Place::File { .. } => lying = lying.saturating_add(storage.bytes),
                Place::Owned(_) => {}
            }
            bytes = bytes.saturating_add(storage.bytes);
            wanted.push(id);
        }
        // Storages of honest files do not lie over one another.
        let there = self.files.iter().map(|file| file.bytes().len() as u64);
        if lying > there.fold(0, u64::saturating_add) {
            let cause = "its storages lie over one another and take more memory than the file has";
            return Err(Error::new(Code::TooLarge, self.name(), cause));
        }
        if packed > self.limits.archive.total_bytes {
            let most = self.limits.archive.total_bytes;
            let cause = format!("its compressed storages take more than {most} bytes together");
            return Err(Error::new(Code::TooLarge, self.name(), cause));
        }
        let make = |&id: &StorageId| self.copy(id).map(drop);
        // Below this, handing the work to other threads costs more than it saves.
        if bytes < 1 << 20 {
            return wanted.iter().try_for_each(make);
        }
        wanted.par_iter().try_for_each(make)
    }

    /// A stretch of a file's private mapping, where it is mapped and the stretch is aligned.
    fn mapped(&self, file: u32, offset: u64, length: usize, align: u64) -> Option<Memory> {
        let file = file as usize;
        let map = self
            .private
            .get(file)?
            .get_or_init(|| self.files.get(file)?.private().ok().flatten().map(Arc::new))
            .as_ref()?;
        let start = usize::try_from(offset).ok()?;
        start.checked_add(length).filter(|&end| end <= map.len())?;
        // SAFETY: the stretch lies inside the mapping, as was just counted.
        let start = unsafe { map.start().add(start) };
        is_aligned(start, align).then(|| Memory {
            start,
            length,
            mapped: true,
            owner: Owner::Map(Arc::clone(map)),
        })
    }

    /// Checks every sparse tensor, on copies of its indices that nobody else can write to.
    fn check_sparse(&self) -> Result<(), Error> {
        let fail = |problem| failed(self.name(), "", &core::LoadError::at(problem, 0));
        let (mut known, mut bytes_there, mut bytes_read) = (HashSet::new(), 0_u64, 0_u64);
        for object in self.data.objects() {
            let Object::Sparse(sparse) = object else { continue };
            for id in [Some(sparse.indices), sparse.plain].into_iter().flatten() {
                let Object::Tensor(tensor) = self.data.object(id) else { continue };
                let Some(storage) = tensor.storage() else { continue };
                let bytes = self.storage_bytes(storage)?;
                if known.insert(storage) {
                    bytes_there = bytes_there.saturating_add(bytes.len() as u64);
                }
                let elements =
                    self.data.shape(tensor).iter().fold(1, |all, &n| n.saturating_mul(all));
                bytes_read =
                    bytes_read.saturating_add(elements.saturating_mul(tensor.dtype().size()));
                if self.kept(storage).is_none() {
                    self.keep(storage, bytes, false)?;
                }
            }
            // Any number of tensors can share indices, and each is read for all of them.
            if bytes_read > bytes_there.saturating_mul(SHARED_INDICES).max(SHARED_FLOOR) {
                return Err(fail(core::Problem::Expansion));
            }
            let bytes = |id| self.kept(id);
            sparse::check(&self.data, sparse, &bytes).map_err(fail)?;
        }
        Ok(())
    }
}

/// The widest element of each storage: its own, or that of a tensor over it.
fn widest(data: &core::Checkpoint) -> Vec<u8> {
    let width = |dtype: core::Dtype| u8::try_from(dtype.size()).unwrap_or(1).max(1);
    let mut widest: Vec<u8> = data.storages().iter().map(|found| width(found.dtype)).collect();
    for object in data.objects() {
        if let Object::Tensor(tensor) = object
            && let Some(slot) = tensor.storage().and_then(|id| widest.get_mut(id.index()))
        {
            *slot = width(tensor.dtype()).max(*slot);
        }
    }
    widest
}

fn is_aligned(start: NonNull<u8>, align: u64) -> bool {
    usize::try_from(align).is_ok_and(|align| start.addr().get().is_multiple_of(align))
}

fn slice(bytes: &[u8], offset: u64, length: usize) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(length)?)
}

/// Reverses the bytes of each element.
fn reverse(bytes: &mut [u8], width: u64) {
    if let Ok(width @ 2..) = usize::try_from(width) {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}
