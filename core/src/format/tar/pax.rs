//! The records of a pax extension header (POSIX.1-2017 "pax Extended Header"): each is
//! `length keyword=value` and a line feed, the length in decimal and counting itself.

/// The records in order; what does not parse ends them and is left over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) fn new(content: &'a [u8]) -> Self {
        Self { rest: content }
    }

    /// What no record explains. Call it on an iterator that has ended.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let space = self.rest.iter().take(21).position(|&byte| byte == b' ')?;
        let length = usize::try_from(decimal(self.rest.get(..space)?)?).ok()?;
        let record = self.rest.get(..length)?;
        let body = record.get(space.checked_add(1)?..)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|&byte| byte == b'=')?;
        let key = body.get(..equals).filter(|key| !key.is_empty())?;
        let value = body.get(equals.checked_add(1)?..)?;
        self.rest = self.rest.get(length..)?;
        Some((key, value))
    }
}

/// A number in decimal digits and nothing else.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(byte.saturating_sub(b'0'))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_parse() {
        let mut records = Records::new(b"12 path=a/b\n10 size=7\n");
        assert_eq!(records.next(), Some((&b"path"[..], &b"a/b"[..])));
        assert_eq!(records.next(), Some((&b"size"[..], &b"7"[..])));
        assert_eq!(records.next(), None);
        assert!(records.rest().is_empty());
    }

    #[test]
    fn broken_records_end_the_walk() {
        for broken in [
            &b"0 path=a\n"[..],
            b"99 path=a\n",
            b"11 path=a\n",
            b"8 path=a\n",
            b"x path=a\n",
            b"6 =ab\n",
            b"12",
            b"99999999999999999999999 a=b\n",
        ] {
            let mut records = Records::new(broken);
            assert_eq!(records.next(), None, "{broken:?}");
            assert_eq!(records.rest(), broken);
        }
    }
}
