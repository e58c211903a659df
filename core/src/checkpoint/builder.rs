//! How a checkpoint comes about: values go in, each checked as it does.

use alloc::string::String;
use alloc::vec::Vec;

use super::error::Problem;
use super::extent::{Extent, Misfit};
use super::{
    Checkpoint, Dtype, Family, Field, Object, ObjectId, Quantizer, Span, Storage, StorageId,
    Tensor, Value,
};
use crate::rules::AllowedGlobal;

/// What a tensor is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'p> {
    /// The type of its elements.
    pub dtype: Dtype,
    /// Its storage; none for a tensor without data.
    pub storage: Option<StorageId>,
    /// How many elements of the storage lie before its first.
    pub offset: u64,
    /// Its sizes.
    pub shape: &'p [u64],
    /// Its strides, in elements.
    pub strides: &'p [u64],
    /// [`Self::REQUIRES_GRAD`] and the other flags.
    pub flags: u8,
    /// How its integers stand for floats, where it is quantised.
    pub quantizer: Option<Quantizer>,
    /// The subclass that the file names for it.
    pub class: Option<&'static AllowedGlobal>,
}

impl Parts<'_> {
    /// The tensor collects gradients.
    pub const REQUIRES_GRAD: u8 = 1;
    /// The tensor shows the complex conjugate of its storage.
    pub const CONJ: u8 = 2;
    /// The tensor shows the negative of its storage.
    pub const NEG: u8 = 4;
}

/// A checkpoint under construction.
#[derive(Debug)]
pub struct Builder {
    pub(super) made: Checkpoint,
    /// How many bytes of pickles were read, and how many were copied because they ask for it.
    read: u64,
    copied: u64,
}

/// A pickle may ask for copies of this many bytes without more ado.
pub(super) const COPIED_FLOOR: u64 = 16 << 20;
/// And beyond that for this many bytes to each one read: honest pickles stay under 2.
const COPIED_RATIO: u64 = 8;

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            read: 0,
            copied: 0,
            made: Checkpoint {
                root: Value::None,
                text: String::new(),
                bytes: Vec::new(),
                items: Vec::new(),
                dims: Vec::new(),
                fields: Vec::new(),
                objects: Vec::new(),
                quantizers: Vec::new(),
                storages: Vec::new(),
                metadata: Vec::new(),
            },
        }
    }

    /// What is there so far. Its values are checked when it is finished, not before.
    #[must_use]
    pub const fn so_far(&self) -> &Checkpoint {
        &self.made
    }

    /// So many more bytes of a pickle were read.
    pub(crate) const fn has_read(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
    }

    /// So many bytes are going to be copied. A reference takes two bytes of a pickle, whatever it
    /// leads to: a call for each would fill any memory with copies.
    ///
    /// # Errors
    /// [`Problem::Expansion`].
    pub(crate) fn copies(&mut self, bytes: u64) -> Result<(), Problem> {
        self.copied = self.copied.saturating_add(bytes);
        let most = self.read.saturating_mul(COPIED_RATIO).saturating_add(COPIED_FLOOR);
        if self.copied > most { Err(Problem::Expansion) } else { Ok(()) }
    }

    /// A text.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn text(&mut self, text: &str) -> Result<Span, Problem> {
        let span = span(self.made.text.len(), text.len())?;
        self.made.text.push_str(text);
        Ok(span)
    }

    /// Bytes.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Span, Problem> {
        let span = span(self.made.bytes.len(), bytes.len())?;
        self.made.bytes.try_reserve(bytes.len()).map_err(|_| Problem::Full)?;
        self.made.bytes.extend_from_slice(bytes);
        Ok(span)
    }

    /// Items of a tuple, or of whatever keeps them like one.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn items(&mut self, items: &[Value]) -> Result<Span, Problem> {
        let span = span(self.made.items.len(), items.len())?;
        self.made.items.extend_from_slice(items);
        Ok(span)
    }

    /// Sizes.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn dims(&mut self, dims: &[u64]) -> Result<Span, Problem> {
        let span = span(self.made.dims.len(), dims.len())?;
        self.made.dims.extend_from_slice(dims);
        Ok(span)
    }

    /// The fields of a numpy record type.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn fields(&mut self, fields: &[Field]) -> Result<Span, Problem> {
        let span = span(self.made.fields.len(), fields.len())?;
        self.made.fields.extend_from_slice(fields);
        Ok(span)
    }

    /// An object.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn object(&mut self, object: Object) -> Result<ObjectId, Problem> {
        let id = u32::try_from(self.made.objects.len()).map_err(|_| Problem::Full)?;
        self.made.objects.push(object);
        Ok(ObjectId(id))
    }

    /// An object, to be added to. A tensor cannot be made this way: it is `Copy`, and its fields
    /// are the builder's.
    #[must_use]
    pub fn object_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.made.objects.get_mut(id.index())
    }

    /// A storage.
    ///
    /// # Errors
    /// [`Problem::Full`]; [`Problem::MissingStorage`] for a view of none, or of a view.
    pub fn storage(&mut self, storage: Storage) -> Result<StorageId, Problem> {
        if let super::Place::View { of, .. } = storage.place {
            let whole = self.made.storage(of).ok_or(Problem::MissingStorage)?;
            if matches!(whole.place, super::Place::View { .. }) {
                return Err(Problem::MissingStorage);
            }
        }
        let id = u32::try_from(self.made.storages.len()).map_err(|_| Problem::Full)?;
        self.made.storages.push(storage);
        Ok(StorageId(id))
    }

    /// Says where a storage's bytes are, which legacy files tell last. Its length stays.
    pub fn place(&mut self, id: StorageId, place: super::Place, swapped: bool) {
        if let Some(storage) = self.made.storages.get_mut(id.index()) {
            storage.place = place;
            storage.swapped = swapped;
        }
    }

    /// A pair of the metadata that the format keeps beside the value.
    ///
    /// # Errors
    /// [`Problem::Full`].
    pub fn metadata(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        let pair = (self.text(key)?, self.text(value)?);
        self.made.metadata.push(pair);
        Ok(())
    }

    /// A tensor: the one constructor, which counts it against its storage's bytes.
    ///
    /// # Errors
    /// [`Problem::Tensor`] where it does not lie inside its storage, [`Problem::MissingStorage`],
    /// [`Problem::Quantizer`], [`Problem::Full`].
    pub fn tensor(&mut self, parts: &Parts<'_>) -> Result<Tensor, Problem> {
        let extent = Extent::of(parts.shape, parts.strides).map_err(Problem::Tensor)?;
        let bytes = match parts.storage {
            None => u64::MAX,
            Some(id) => self.made.storage(id).ok_or(Problem::MissingStorage)?.bytes,
        };
        extent.fits(parts.dtype, parts.offset, bytes).map_err(Problem::Tensor)?;
        let quantizer = self.quantizer(parts)?;
        let rank = u8::try_from(parts.shape.len());
        let rank = rank.map_err(|_| Problem::Tensor(Misfit::Dimensions))?;
        let dims = self.dims(parts.shape)?;
        self.dims(parts.strides)?;
        Ok(Tensor {
            dtype: parts.dtype,
            storage: parts.storage,
            offset: parts.offset,
            dims: dims.start,
            rank,
            flags: parts.flags,
            quantizer,
            class: parts.class,
        })
    }

    fn quantizer(&mut self, parts: &Parts<'_>) -> Result<Option<u32>, Problem> {
        let quantizer = match (parts.quantizer, parts.dtype.family()) {
            (None, _) => return Ok(None),
            (Some(quantizer), Family::Quantized) => quantizer,
            _ => return Err(Problem::Quantizer),
        };
        self.made.channels_fit(&quantizer, parts.shape)?;
        let index = u32::try_from(self.made.quantizers.len()).map_err(|_| Problem::Full)?;
        self.made.quantizers.push(quantizer);
        Ok(Some(index))
    }
}

impl Checkpoint {
    /// Whether a tensor of this shape has a scale and a zero point for each channel.
    pub(super) fn channels_fit(&self, quantizer: &Quantizer, shape: &[u64]) -> Result<(), Problem> {
        let &Quantizer::PerChannel { scales, zero_points, axis, .. } = quantizer else {
            return Ok(());
        };
        let channels = shape.get(usize::from(axis)).ok_or(Problem::Quantizer)?;
        for id in [scales, zero_points] {
            let Object::Tensor(tensor) = self.object(id) else { return Err(Problem::Quantizer) };
            if tensor.storage.is_none() || self.shape(tensor) != [*channels] {
                return Err(Problem::Quantizer);
            }
        }
        Ok(())
    }
}

fn span(start: usize, length: usize) -> Result<Span, Problem> {
    let start = u32::try_from(start).map_err(|_| Problem::Full)?;
    let length = u32::try_from(length).map_err(|_| Problem::Full)?;
    start.checked_add(length).ok_or(Problem::Full)?;
    Ok(Span { start, length })
}
