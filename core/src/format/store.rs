//! Memory of a reader that has to compare what it met: a list that grows to a limit, or an array
//! where there is no heap. A full one is an answer, never a panic.

/// How many things are kept where there is no heap.
pub const ROOM: usize = 512;

/// Things met so far.
#[cfg(feature = "alloc")]
pub(super) struct Store<T> {
    things: alloc::vec::Vec<T>,
    most: usize,
}

#[cfg(feature = "alloc")]
impl<T: Copy + Default> Store<T> {
    /// Room for `most` things; memory is taken as they come.
    pub(super) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { things: alloc::vec::Vec::new(), most }
    }

    /// Keeps one more, or says that there are too many.
    pub(super) fn push(&mut self, thing: T) -> bool {
        let room = self.things.len() < self.most;
        if room {
            self.things.push(thing);
        }
        room
    }

    /// All that were kept.
    pub(super) fn all(&mut self) -> &mut [T] {
        &mut self.things
    }
}

/// Things met so far.
#[cfg(not(feature = "alloc"))]
pub(super) struct Store<T> {
    things: [T; ROOM],
    length: usize,
    most: usize,
}

#[cfg(not(feature = "alloc"))]
impl<T: Copy + Default> Store<T> {
    /// Room for `most` things, and no more than [`ROOM`].
    pub(super) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { things: [T::default(); ROOM], length: 0, most }
    }

    /// Keeps one more, or says that there are too many.
    pub(super) fn push(&mut self, thing: T) -> bool {
        match self.things.get_mut(self.length) {
            Some(free) if self.length < self.most => {
                *free = thing;
                self.length = self.length.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    /// All that were kept.
    pub(super) fn all(&mut self) -> &mut [T] {
        self.things.get_mut(..self.length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_says_so() {
        let mut store = Store::new(2);
        assert!(store.push(1) && store.push(2) && !store.push(3));
        assert_eq!(store.all(), [1, 2]);
    }
}
