//! Memory for the tensors of one header: a list that grows to a limit, or an array.

use crate::json::Str;
use crate::limits::Limits;

/// How many tensors, or keys of the metadata, are compared where there is no heap.
pub const TENSORS: usize = 512;

/// Where a tensor lies, and what it is called. Keys of the metadata lie nowhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    pub(super) name: Str<'a>,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The places met so far.
#[cfg(feature = "alloc")]
pub(super) struct Places<'a> {
    places: alloc::vec::Vec<Place<'a>>,
    most: usize,
}

#[cfg(feature = "alloc")]
impl<'a> Places<'a> {
    /// Room for as many as the limits allow. A header has no more than its length allows, so
    /// that this is less memory than a small multiple of the header.
    pub(super) fn new(limits: &Limits) -> Self {
        let most = usize::try_from(limits.format.objects).unwrap_or(usize::MAX);
        Self { places: alloc::vec::Vec::new(), most }
    }

    /// Keeps one more, or says that there are too many.
    pub(super) fn push(&mut self, place: Place<'a>) -> bool {
        let room = self.places.len() < self.most;
        if room {
            self.places.push(place);
        }
        room
    }

    /// All that were kept.
    pub(super) fn all(&mut self) -> &mut [Place<'a>] {
        &mut self.places
    }
}

/// The places met so far.
#[cfg(not(feature = "alloc"))]
pub(super) struct Places<'a> {
    places: [Place<'a>; TENSORS],
    length: usize,
    most: usize,
}

#[cfg(not(feature = "alloc"))]
impl<'a> Places<'a> {
    /// Room for as many as the limits and the array allow.
    pub(super) fn new(limits: &Limits) -> Self {
        let most = usize::try_from(limits.format.objects).unwrap_or(usize::MAX);
        Self { places: [Place::default(); TENSORS], length: 0, most }
    }

    /// Keeps one more, or says that there are too many.
    pub(super) fn push(&mut self, place: Place<'a>) -> bool {
        match self.places.get_mut(self.length) {
            Some(free) if self.length < self.most => {
                *free = place;
                self.length = self.length.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// All that were kept.
    pub(super) fn all(&mut self) -> &mut [Place<'a>] {
        self.places.get_mut(..self.length).unwrap_or_default()
    }
}
