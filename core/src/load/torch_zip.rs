//! PyTorch's ZIP layout: `data.pkl`, and a record for each storage
//! (`_load` in `torch/serialization.py`).
//!
//! Stored records stay where they are in the file; deflated ones are left to whoever inflates. A
//! TorchScript archive is the same layout: its `data.pkl` holds the module's attributes, and nothing
//! of `code/` is looked at.
//!
//! It refuses what PyTorch looked past: a record that is shorter or longer than the pickle says
//! (CVE-2026-24747), the same key with another type or size, and a byte order that is none.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::Options;
use super::pickle::{StorageRequest, Storages, Surroundings, build};
use crate::checkpoint::{
    Builder, Checkpoint, Dtype, LoadError, Place, Problem, Storage, StorageId,
};
use crate::format::torch_zip::{Layout, layout, relative};
use crate::format::zip::{Archive, Entry, METHOD_DEFLATED};
use crate::pickle::audit::PersistentIds;

/// The members that are read to know what the others mean.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    layout: Layout<'a>,
    /// The pickle of the saved object.
    pub pickle: Entry<'a>,
    /// `byteorder`, where it is there.
    pub byteorder: Option<Entry<'a>>,
}

/// Finds those members.
///
/// # Errors
/// [`Problem::Format`] where the archive is not laid out so.
pub fn members<'a>(archive: &Archive<'a>) -> Result<Members<'a>, LoadError> {
    let none = |what| LoadError::at(Problem::Format(what), archive.end_offset());
    let layout = layout(archive).ok_or_else(|| none("the archive has no `data.pkl`"))?;
    let (mut pickle, mut byteorder) = (None, None);
    for entry in archive.entries().map_while(Result::ok) {
        match relative(layout.root, entry.name()) {
            Some(b"data.pkl") => pickle = Some(entry),
            Some(b"byteorder") => byteorder = Some(entry),
            _ => {}
        }
    }
    let pickle = pickle.ok_or_else(|| none("the archive's folder has no `data.pkl`"))?;
    Ok(Members { layout, pickle, byteorder })
}

/// Loads an archive, of which `pickle` and `byteorder` are the members' contents.
///
/// Offsets in errors count from the start of `data.pkl`.
///
/// # Errors
/// [`LoadError`].
pub fn load(
    archive: &Archive<'_>,
    members: &Members<'_>,
    pickle: &[u8],
    byteorder: Option<&[u8]>,
    options: &Options,
) -> Result<Checkpoint, LoadError> {
    let swapped = match byteorder {
        // Files without it are of PyTorch before 2.1 and taken for little-endian.
        None | Some(b"little") => false,
        Some(b"big") => true,
        Some(_) => {
            let what = "the member `byteorder` says neither `little` nor `big`";
            return Err(LoadError::at(Problem::Format(what), 0));
        }
    };
    let records = Records::of(archive, members.layout.root);
    let mut storages = Archived { archive, records, file: options.file, swapped };
    let mut builder = Builder::new();
    let surroundings =
        Surroundings { ids: PersistentIds::Storages, torchscript: members.layout.torchscript };
    let (root, end) = build(pickle, options, surroundings, &mut builder, &mut storages)?;
    let finished = builder.finish(root, &options.limits.pickle);
    finished.map_err(|problem| LoadError::at(problem, super::offset(end)))
}

/// A storage that was asked for before.
#[derive(Clone, Copy)]
struct Known {
    id: StorageId,
    dtype: Dtype,
    elements: u64,
}

/// A record, and what became of it.
struct Record<'a> {
    /// Its key, as a number where it is one as they are usually spelled.
    number: Option<u64>,
    key: &'a [u8],
    /// Where its header stands in the directory.
    header: u64,
    known: Option<Known>,
}

/// The records of an archive by their keys, of which `torch.save` counts up from 0.
struct Records<'a> {
    /// In the order of their keys, each key once.
    sorted: Vec<Record<'a>>,
    /// Storages without a record: those that hold nothing.
    absent: BTreeMap<String, Known>,
}

impl<'a> Records<'a> {
    /// Of two records with one key the later counts, as for `zipfile`; the audit has told of it.
    fn of(archive: &Archive<'a>, root: &[u8]) -> Self {
        let mut sorted = Vec::new();
        for entry in archive.entries().map_while(Result::ok) {
            let inside = relative(root, entry.name());
            if let Some(key) = inside.and_then(|inside| inside.strip_prefix(b"data/")) {
                let header = entry.central.offset;
                sorted.push(Record { number: number(key), key, header, known: None });
            }
        }
        // Stable: records with one key stay in the order of the directory.
        sorted.sort_by(|left, right| (left.number, left.key).cmp(&(right.number, right.key)));
        sorted.dedup_by(|later, kept| {
            let same = later.key == kept.key;
            if same {
                kept.header = later.header;
            }
            same
        });
        Self { sorted, absent: BTreeMap::new() }
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Record<'a>> {
        let number = number(key.as_bytes());
        let is_it = |record: &Record<'_>| record.number == number && record.key == key.as_bytes();
        // Where all are there, a number is its own place.
        let guess = number.and_then(|number| usize::try_from(number).ok());
        let at = match guess.filter(|&at| self.sorted.get(at).is_some_and(is_it)) {
            Some(at) => at,
            None => {
                let key = (number, key.as_bytes());
                self.sorted.binary_search_by(|record| (record.number, record.key).cmp(&key)).ok()?
            }
        };
        self.sorted.get_mut(at)
    }
}

/// The number that a key spells without a sign or zeros before it. Nineteen digits always fit.
fn number(key: &[u8]) -> Option<u64> {
    match key {
        [b'0'] => Some(0),
        [b'1'..=b'9', rest @ ..] if rest.len() < 19 => {
            key.iter().try_fold(0_u64, |number, &byte| {
                let digit = byte.is_ascii_digit().then(|| byte.checked_sub(b'0'))??;
                number.checked_mul(10)?.checked_add(u64::from(digit))
            })
        }
        _ => None,
    }
}

struct Archived<'a, 'r> {
    archive: &'r Archive<'a>,
    records: Records<'a>,
    file: u32,
    swapped: bool,
}

impl Storages for Archived<'_, '_> {
    fn storage(
        &mut self,
        builder: &mut Builder,
        request: &StorageRequest<'_>,
    ) -> Result<StorageId, Problem> {
        let &StorageRequest { key, dtype, location, elements, .. } = request;
        let (record, known) = match self.records.get_mut(key) {
            Some(record) => (Some(record.header), record.known),
            None => (None, self.records.absent.get(key).copied()),
        };
        if let Some(known) = known {
            if known.dtype == dtype && known.elements == elements {
                return Ok(known.id);
            }
            // PyTorch keeps no storage without bytes: each mention may give it a type of its own.
            if known.elements > 0 || elements > 0 {
                return Err(Problem::StorageConflict);
            }
        }
        let bytes = elements.checked_mul(dtype.size()).ok_or(Problem::ShortStorage)?;
        let place = match record {
            None if bytes == 0 => Place::Owned(crate::checkpoint::Span::EMPTY),
            None => return Err(Problem::MissingStorage),
            Some(header) => {
                let entry = self.archive.entry(header).map_err(|_| Problem::MissingStorage)?;
                self.place(&entry, bytes)?
            }
        };
        let location = builder.text(location)?;
        let id =
            builder.storage(Storage { bytes, dtype, location, place, swapped: self.swapped })?;
        let known = Known { id, dtype, elements };
        match self.records.get_mut(key) {
            Some(record) => record.known = Some(known),
            None => drop(self.records.absent.insert(String::from(key), known)),
        }
        Ok(id)
    }
}

impl Archived<'_, '_> {
    fn place(&self, entry: &Entry<'_>, bytes: u64) -> Result<Place, Problem> {
        let there = entry.central.uncompressed_size;
        if there < bytes {
            return Err(Problem::ShortStorage);
        }
        // As PyTorch since 2.13 has it (`get_storage_from_record` in `torch/csrc/jit/python/init.cpp`).
        if there > bytes {
            return Err(Problem::LongStorage);
        }
        if entry.is_stored() && entry.central.flags & 1 == 0 {
            let range = entry.data_range().map_err(|_| Problem::MissingStorage)?;
            if range.end.saturating_sub(range.start) < bytes {
                return Err(Problem::ShortStorage);
            }
            return Ok(Place::File { file: self.file, offset: range.start });
        }
        if entry.central.method != METHOD_DEFLATED || entry.central.flags & 1 != 0 {
            return Err(Problem::Format(
                "a storage is encrypted, or packed in a way that PyTorch does not read",
            ));
        }
        Ok(Place::Member { file: self.file, header: entry.central.offset })
    }
}
