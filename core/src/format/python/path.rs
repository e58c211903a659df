//! A dotted path in an array of its own.

/// A dotted path; what does not fit is cut off, which leaves the packages at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct Path<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Path<N> {
    pub(in crate::format) const EMPTY: Self = Self { bytes: [0; N], length: 0 };

    pub(in crate::format) fn of(text: &[u8]) -> Self {
        let mut path = Self::EMPTY;
        path.append(text);
        path
    }

    pub(in crate::format) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// The path as text, up to a character that its end cuts.
    pub(in crate::format) fn text(&self) -> &str {
        match core::str::from_utf8(self.bytes()) {
            Ok(text) => text,
            Err(error) => {
                let whole = self.bytes().get(..error.valid_up_to()).unwrap_or_default();
                core::str::from_utf8(whole).unwrap_or_default()
            }
        }
    }

    /// Adds a part, behind a dot if it is not the first.
    pub(in crate::format) fn push(&mut self, part: &[u8]) {
        if self.length > 0 {
            self.append(b".");
        }
        self.append(part);
    }

    /// Adds what another path has behind its first `skip` bytes, its dot included.
    pub(in crate::format) fn push_rest(&mut self, path: &[u8], skip: usize) {
        self.append(path.get(skip..).unwrap_or_default());
    }

    /// Adds bytes as they are.
    pub(in crate::format) fn append(&mut self, text: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (slot, &byte) in room.iter_mut().zip(text) {
            *slot = byte;
        }
        self.length = self.length.saturating_add(text.len()).min(N);
    }
}
