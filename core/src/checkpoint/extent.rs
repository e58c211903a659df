//! Whether a tensor lies inside its storage: the one place where sizes meet bytes.
//!
//! A pickle, a header or a manifest *says* a shape, strides and an offset. Readers that believed
//! them have read and written outside their storage (CVE-2026-24747, pytorch#184652). Here
//! everything is counted in checked arithmetic against the bytes that are there, and no tensor
//! exists that was not counted.

use super::dtype::Dtype;

/// The most dimensions of a tensor: what `TensorIterator` of ATen and numpy's arrays allow.
pub const DIMENSIONS: usize = 64;

/// The largest size in bytes and the largest count: what `int64_t` holds.
const LARGEST: u64 = i64::MAX.unsigned_abs();

/// Why a tensor cannot lie where it is said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It has another number of strides than of sizes.
    Ranks,
    /// It has more dimensions than any tensor may.
    Dimensions,
    /// Its size, or the place of its last element, overflows 63 bits.
    Overflow,
    /// Its last element lies behind the end of its storage.
    Outside,
}

/// What a shape and its strides ask of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// How many elements there are, those that share a place counted each.
    pub elements: u64,
    /// How many elements lie between the first and the last, both counted; 0 without elements.
    pub reach: u64,
}

impl Extent {
    /// Counts a shape with its strides, in elements.
    ///
    /// # Errors
    /// Every [`Misfit`] but [`Misfit::Outside`].
    pub fn of(shape: &[u64], strides: &[u64]) -> Result<Self, Misfit> {
        if shape.len() != strides.len() {
            return Err(Misfit::Ranks);
        }
        if shape.len() > DIMENSIONS {
            return Err(Misfit::Dimensions);
        }
        if shape.contains(&0) {
            // Each of the others still has to be a size.
            let sizes = shape.iter().chain(strides).all(|&size| size <= LARGEST);
            return if sizes { Ok(Self { elements: 0, reach: 0 }) } else { Err(Misfit::Overflow) };
        }
        let (mut elements, mut last) = (1_u64, 0_u64);
        for (&size, &stride) in shape.iter().zip(strides) {
            // One that is never taken has to be a stride all the same.
            if stride > LARGEST {
                return Err(Misfit::Overflow);
            }
            let steps = size.checked_sub(1).and_then(|steps| steps.checked_mul(stride));
            elements = elements.checked_mul(size).ok_or(Misfit::Overflow)?;
            last = steps.and_then(|steps| last.checked_add(steps)).ok_or(Misfit::Overflow)?;
        }
        let reach = last.checked_add(1).ok_or(Misfit::Overflow)?;
        if elements > LARGEST || reach > LARGEST {
            return Err(Misfit::Overflow);
        }
        Ok(Self { elements, reach })
    }

    /// Whether a tensor of this extent, `offset` elements into a storage of `bytes` bytes, lies
    /// inside it.
    ///
    /// # Errors
    /// [`Misfit::Overflow`], [`Misfit::Outside`].
    pub fn fits(self, dtype: Dtype, offset: u64, bytes: u64) -> Result<(), Misfit> {
        self.elements.checked_mul(dtype.size()).filter(is_size).ok_or(Misfit::Overflow)?;
        let end = offset.checked_add(self.reach).ok_or(Misfit::Overflow)?;
        let end = end.checked_mul(dtype.size()).filter(is_size).ok_or(Misfit::Overflow)?;
        // Nothing is read of a tensor without elements, wherever it is said to be.
        if self.elements > 0 && end > bytes { Err(Misfit::Outside) } else { Ok(()) }
    }
}

fn is_size(size: &u64) -> bool {
    *size <= LARGEST
}

/// The strides of a shape whose elements follow each other, the last index fastest
/// (`c10/core/Contiguity.h`). A size of zero counts as one, as in torch.
///
/// # Errors
/// [`Misfit::Overflow`].
pub fn contiguous(shape: &[u64], strides: &mut [u64]) -> Result<(), Misfit> {
    let mut stride = 1_u64;
    for (&size, place) in shape.iter().zip(strides).rev() {
        *place = stride;
        stride = stride.checked_mul(size.max(1)).filter(is_size).ok_or(Misfit::Overflow)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_counted_in_full() {
        assert_eq!(Extent::of(&[], &[]), Ok(Extent { elements: 1, reach: 1 }));
        assert_eq!(Extent::of(&[2, 3], &[3, 1]), Ok(Extent { elements: 6, reach: 6 }));
        assert_eq!(Extent::of(&[2, 3], &[1, 2]), Ok(Extent { elements: 6, reach: 6 }));
        assert_eq!(Extent::of(&[1 << 40], &[0]), Ok(Extent { elements: 1 << 40, reach: 1 }));
        assert_eq!(Extent::of(&[0, 9], &[9, 1]), Ok(Extent { elements: 0, reach: 0 }));
        assert_eq!(Extent::of(&[2], &[]), Err(Misfit::Ranks));
        assert_eq!(Extent::of(&[1 << 40, 1 << 40], &[0, 0]), Err(Misfit::Overflow));
        assert_eq!(Extent::of(&[2], &[u64::MAX]), Err(Misfit::Overflow));
        assert_eq!(Extent::of(&[1], &[1 << 63]), Err(Misfit::Overflow));
        assert_eq!(Extent::of(&[0, u64::MAX], &[1, 1]), Err(Misfit::Overflow));
        assert_eq!(Extent::of(&[1; 65], &[1; 65]), Err(Misfit::Dimensions));
    }

    #[test]
    fn the_last_element_lies_inside() {
        let extent = Extent::of(&[2, 3], &[3, 1]).unwrap();
        assert_eq!(extent.fits(Dtype::Float32, 0, 24), Ok(()));
        assert_eq!(extent.fits(Dtype::Float32, 0, 23), Err(Misfit::Outside));
        assert_eq!(extent.fits(Dtype::Float32, 1, 24), Err(Misfit::Outside));
        assert_eq!(extent.fits(Dtype::Float32, u64::MAX, 24), Err(Misfit::Overflow));
        assert_eq!(extent.fits(Dtype::Float64, (1 << 60) - 1, 24), Err(Misfit::Overflow));
        let huge = Extent::of(&[1 << 62], &[0]).unwrap();
        assert_eq!(huge.fits(Dtype::Float32, 0, 4), Err(Misfit::Overflow));
        let none = Extent::of(&[0], &[1]).unwrap();
        assert_eq!(none.fits(Dtype::Float32, 7, 0), Ok(()));
    }

    #[test]
    fn contiguous_strides_are_torchs() {
        let mut strides = [0; 3];
        contiguous(&[2, 0, 4], &mut strides).unwrap();
        assert_eq!(strides, [4, 4, 1]);
        assert_eq!(contiguous(&[2, 1 << 40, 1 << 40], &mut strides), Err(Misfit::Overflow));
    }
}
