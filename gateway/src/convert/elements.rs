//! The elements of a tensor, one behind the other, whatever its strides.
//!
//! Elements that follow each other are handed on as they lie; others pass through a buffer. A tensor
//! that shows the conjugate or the negative of its storage (`torch.conj`, `torch._neg_view`) gives the
//! numbers that it shows.

use std::borrow::Cow;

use secure_torch_core::checkpoint::{Dtype, Family};

use crate::error::Error;
use crate::load::Checkpoint;
use crate::view::View;

/// How many bytes are gathered before they are handed on: whole elements of every type.
const BUFFER: usize = 1 << 20;
/// How many bytes are handed on at a time where they lie: progress shows between.
const STRETCH: usize = 8 << 20;

/// What takes the bytes.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> Result<(), Error>;

/// Hands the elements of a tensor on, the last index fastest.
pub(super) fn each(checkpoint: &Checkpoint, view: &View<'_>, sink: Sink<'_>) -> Result<(), Error> {
    if view.shape.contains(&0) {
        return Ok(());
    }
    let bytes = match view.passing {
        true => checkpoint.passing_bytes(view.storage)?,
        false => Cow::Borrowed(checkpoint.storage_bytes(view.storage)?),
    };
    let lost = || checkpoint.lost(view.storage);
    let mut made = Gathered { view, buffer: Vec::new(), sink };
    gather(&bytes, view, &mut |stretch| made.add(stretch)).unwrap_or_else(|| Err(lost()))?;
    made.flush()
}

/// Whether the numbers of a type can be shown as their negatives.
pub(super) fn negates(dtype: Dtype) -> bool {
    match dtype.family() {
        Family::Signed | Family::Unsigned | Family::Complex => true,
        // The one-byte floats have kinds without a negative zero or without a sign.
        Family::Float => dtype.size() > 1,
        _ => false,
    }
}

/// Calls `each` with every stretch of elements that follow each other; none where the tensor does
/// not lie in these bytes, which it was counted to.
fn gather(
    bytes: &[u8],
    view: &View<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Option<Result<(), Error>> {
    let size = usize::try_from(view.dtype.size()).ok()?;
    let mut run = size;
    let mut outer: Vec<(usize, usize)> = Vec::new();
    for (&length, &stride) in view.shape.iter().zip(view.strides.iter()).rev() {
        let (length, stride) = (usize::try_from(length).ok()?, usize::try_from(stride).ok());
        if length == 1 {
            continue;
        }
        // A stride that overflows belongs to no element but the first.
        let step = stride?.checked_mul(size)?;
        if outer.is_empty() && step == run {
            run = run.checked_mul(length)?;
        } else {
            outer.push((length, step));
        }
    }
    let start = usize::try_from(view.offset).ok()?.checked_mul(size)?;
    // The innermost of the outer dimensions is a loop of its own: it is where the time goes.
    let (inner, outer) = match outer.split_first() {
        Some((inner, outer)) => (*inner, outer),
        None => ((1, 0), outer.as_slice()),
    };
    let mut index = vec![0_usize; outer.len()];
    let mut at = start;
    loop {
        let mut place = at;
        for _ in 0..inner.0 {
            let stretch = bytes.get(place..place.checked_add(run)?)?;
            if let Err(error) = each(stretch) {
                return Some(Err(error));
            }
            place = place.wrapping_add(inner.1);
        }
        // The next place of the outer dimensions, like the wheels of a counter.
        let mut wheel = index.iter_mut().zip(outer);
        loop {
            let Some((position, &(length, step))) = wheel.next() else { return Some(Ok(())) };
            *position = position.checked_add(1)?;
            if *position < length {
                at = at.checked_add(step)?;
                break;
            }
            at = at.checked_sub(step.checked_mul(length.checked_sub(1)?)?)?;
            *position = 0;
        }
    }
}

/// Elements on their way to a sink.
struct Gathered<'a> {
    view: &'a View<'a>,
    buffer: Vec<u8>,
    sink: Sink<'a>,
}

impl Gathered<'_> {
    fn add(&mut self, stretch: &[u8]) -> Result<(), Error> {
        let changed = self.view.is_changed();
        if !changed && stretch.len() >= BUFFER {
            self.flush()?;
            return stretch.chunks(STRETCH).try_for_each(|stretch| (self.sink)(stretch));
        }
        for stretch in stretch.chunks(BUFFER) {
            if self.buffer.len().saturating_add(stretch.len()) > BUFFER {
                self.flush()?;
            }
            self.buffer.extend_from_slice(stretch);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.view.swapped
            && let Ok(width @ 2..) = usize::try_from(self.view.dtype.swap_width())
        {
            self.buffer.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        if self.view.conjugate {
            conjugate(&mut self.buffer, self.view.dtype);
        }
        if self.view.negative {
            negate(&mut self.buffer, self.view.dtype);
        }
        if !self.buffer.is_empty() {
            (self.sink)(&self.buffer)?;
        }
        self.buffer.clear();
        Ok(())
    }
}

/// Turns the sign of the imaginary parts.
fn conjugate(bytes: &mut [u8], dtype: Dtype) {
    let Ok(size @ 2..) = usize::try_from(dtype.size()) else { return };
    for element in bytes.chunks_exact_mut(size) {
        if let Some(last) = element.last_mut() {
            *last ^= 0x80;
        }
    }
}

/// Negates numbers: floats turn their sign, integers wrap.
fn negate(bytes: &mut [u8], dtype: Dtype) {
    let Ok(width @ 1..) = usize::try_from(dtype.swap_width()) else { return };
    for element in bytes.chunks_exact_mut(width) {
        match dtype.family() {
            Family::Signed | Family::Unsigned => {
                let mut carry = true;
                for byte in element {
                    (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
                }
            }
            _ => {
                if let Some(last) = element.last_mut() {
                    *last ^= 0x80;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_negated_as_numbers() {
        let mut bytes: Vec<u8> =
            [0_i32, 1, -7, i32::MIN, 256].iter().flat_map(|n| n.to_le_bytes()).collect();
        negate(&mut bytes, Dtype::Int32);
        let back: Vec<i32> =
            bytes.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(back, [0, -1, 7, i32::MIN, -256]);
        let mut bytes: Vec<u8> = [0.0_f64, -1.5].iter().flat_map(|n| n.to_le_bytes()).collect();
        negate(&mut bytes, Dtype::Float64);
        let back: Vec<u64> =
            bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(back, [(-0.0_f64).to_bits(), 1.5_f64.to_bits()]);
        let mut bytes: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|n| n.to_le_bytes()).collect();
        conjugate(&mut bytes, Dtype::Complex64);
        assert_eq!(bytes[..4], 1.0_f32.to_le_bytes());
        assert_eq!(bytes[4..], (-2.0_f32).to_le_bytes());
    }
}
