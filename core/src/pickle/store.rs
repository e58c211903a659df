//! Stacks in memory that the caller gives.
//!
//! The machine never allocates by itself: it pushes onto a [`Store`], which is an array of the
//! caller's or, with the feature `alloc`, a vector that grows to a disclosed limit. A full
//! store is an error that the machine reports; nothing is ever dropped silently.

/// A store has no room for another item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A bounded stack of `Copy` items.
pub trait Store<T: Copy> {
    /// Every item, the oldest first.
    fn items(&self) -> &[T];

    /// Every item, the oldest first, to change in place.
    fn items_mut(&mut self) -> &mut [T];

    /// Puts an item on top.
    ///
    /// # Errors
    /// [`Full`] where the limit is reached; the store is unchanged.
    fn push(&mut self, item: T) -> Result<(), Full>;

    /// Takes the topmost item.
    fn pop(&mut self) -> Option<T>;

    /// Drops everything above the first `length` items.
    fn truncate(&mut self, length: usize);

    /// How many items there are.
    #[inline]
    fn len(&self) -> usize {
        self.items().len()
    }

    /// Whether there is no item.
    #[inline]
    fn is_empty(&self) -> bool {
        self.items().is_empty()
    }

    /// The topmost item.
    #[inline]
    fn last(&self) -> Option<T> {
        self.items().last().copied()
    }

    /// The item at `index`, counted from the oldest.
    #[inline]
    fn get(&self, index: usize) -> Option<T> {
        self.items().get(index).copied()
    }
}

/// A store in an array that the caller lends.
#[derive(Debug)]
pub struct Fixed<'m, T> {
    slots: &'m mut [T],
    length: usize,
}

impl<'m, T> Fixed<'m, T> {
    /// An empty store over `slots`, whose present contents do not matter.
    pub fn new(slots: &'m mut [T]) -> Self {
        Self { slots, length: 0 }
    }
}

impl<T: Copy> Store<T> for Fixed<'_, T> {
    #[inline]
    fn items(&self) -> &[T] {
        self.slots.get(..self.length).unwrap_or_default()
    }

    #[inline]
    fn items_mut(&mut self) -> &mut [T] {
        self.slots.get_mut(..self.length).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, item: T) -> Result<(), Full> {
        *self.slots.get_mut(self.length).ok_or(Full)? = item;
        self.length = self.length.saturating_add(1);
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.length = self.length.checked_sub(1)?;
        self.slots.get(self.length).copied()
    }

    #[inline]
    fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

/// A store on the heap that grows to a limit.
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct Growing<T> {
    items: alloc::vec::Vec<T>,
    limit: usize,
}

#[cfg(feature = "alloc")]
impl<T> Growing<T> {
    /// An empty store that holds at most `limit` items.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { items: alloc::vec::Vec::new(), limit }
    }
}

#[cfg(feature = "alloc")]
impl<T: Copy> Store<T> for Growing<T> {
    #[inline]
    fn items(&self) -> &[T] {
        &self.items
    }

    #[inline]
    fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }

    #[inline]
    fn push(&mut self, item: T) -> Result<(), Full> {
        if self.items.len() >= self.limit {
            return Err(Full);
        }
        if self.items.len() == self.items.capacity() {
            self.items.try_reserve(self.items.len().max(64)).map_err(|_| Full)?;
        }
        self.items.push(item);
        Ok(())
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.items.pop()
    }

    #[inline]
    fn truncate(&mut self, length: usize) {
        self.items.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fills_and_empties(mut store: impl Store<u8>) {
        assert!(store.is_empty());
        assert_eq!(store.push(1), Ok(()));
        assert_eq!(store.push(2), Ok(()));
        assert_eq!(store.push(3), Err(Full));
        assert_eq!(store.items(), [1, 2]);
        assert_eq!((store.pop(), store.last(), store.len()), (Some(2), Some(1), 1));
        store.truncate(7);
        assert_eq!(store.len(), 1);
        store.truncate(0);
        assert_eq!(store.pop(), None);
    }

    #[test]
    fn a_full_store_says_so() {
        fills_and_empties(Fixed::new(&mut [0; 2]));
        #[cfg(feature = "alloc")]
        fills_and_empties(Growing::new(2));
    }
}
