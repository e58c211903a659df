//! Memory of our own for storages that cannot be shown where they lie in the file.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use memmap2::{MmapMut, MmapRaw};

/// From here on a block is a mapping of its own, whose pages cost nothing until they are touched.
pub(super) const LARGE: usize = 1 << 20;

/// Bytes, aligned for every element type.
///
/// Once a block is filled, this crate only reads it, and what it hands out for writing it does not
/// read (`Checkpoint` keeps the two kinds apart).
#[derive(Debug)]
pub(super) struct Block {
    memory: Words,
    length: usize,
}

#[derive(Debug)]
enum Words {
    Small(Box<[UnsafeCell<u128>]>),
    Large(MmapRaw),
}

// SAFETY: the cells are plain memory; what may be read and written when is the type's rule above.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// Memory that `fill` is given zeroed, once; `None` where there is not enough.
    pub(super) fn fill<E>(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Option<Result<Self, E>> {
        if length >= LARGE {
            let mut map = MmapMut::map_anon(length).ok()?;
            // Filling page by page is half the cost. Where the system has no large ones, so be it.
            #[cfg(target_os = "linux")]
            let _ = map.advise(memmap2::Advice::HugePage);
            let filled = fill(&mut map);
            let memory = Words::Large(MmapRaw::from(map));
            return Some(filled.map(|()| Self { memory, length }));
        }
        let count = length.div_ceil(size_of::<u128>());
        let mut words: Vec<UnsafeCell<u128>> = Vec::new();
        words.try_reserve_exact(count).ok()?;
        words.resize_with(count, || UnsafeCell::new(0));
        let block = Self { memory: Words::Small(words.into_boxed_slice()), length };
        // SAFETY: the memory is initialised, at least `length` bytes long and borrowed mutably; any
        // bytes make a valid `u128`.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block.start().as_ptr(), length) };
        let filled = fill(bytes);
        Some(filled.map(|()| block))
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        match &self.memory {
            Words::Small(words) => {
                NonNull::new(words.as_ptr().cast_mut().cast()).unwrap_or(NonNull::dangling())
            }
            Words::Large(map) => NonNull::new(map.as_mut_ptr()).unwrap_or(NonNull::dangling()),
        }
    }

    /// The bytes of a block that nobody was given for writing.
    ///
    /// # Safety
    /// Nothing may write to the block while the slice is there.
    pub(super) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is initialised, `length` bytes long and lives as long as the borrow;
        // that nothing writes to it is the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_they_were_filled_with() {
        for length in [0, 1, 15, 16, 17, LARGE - 1, LARGE, LARGE + 1] {
            let block = Block::fill(length, |bytes| {
                assert!(bytes.iter().all(|&byte| byte == 0));
                bytes.fill(7);
                Ok::<(), ()>(())
            });
            let block = block.unwrap().unwrap();
            assert_eq!(block.start().as_ptr().addr() % 16, 0);
            // SAFETY: nobody else has the block.
            assert_eq!(unsafe { block.bytes() }, vec![7; length]);
        }
        assert_eq!(Block::fill(9, |_| Err::<(), i32>(3)).unwrap().unwrap_err(), 3);
    }
}
