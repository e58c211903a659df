//! The bytes of a file behind its superblock, and a cursor over some of them.

/// A file, seen from its base address.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'a> {
    bytes: &'a [u8],
    /// How many bytes an address takes.
    pub(super) address_size: u8,
    /// How many bytes a length takes.
    pub(super) length_size: u8,
}

impl<'a> File<'a> {
    pub(super) const fn new(bytes: &'a [u8], address_size: u8, length_size: u8) -> Self {
        Self { bytes, address_size, length_size }
    }

    /// Everything from an address on.
    pub(super) fn from(self, address: u64) -> Option<Cursor<'a>> {
        let bytes = self.bytes.get(usize::try_from(address).ok()?..)?;
        Some(Cursor { file: self, bytes })
    }

    /// A node of a version 1 B-tree (III.A.1), behind its header: its own level, and how many
    /// children it has. `above` is the level of the node that leads to it; libraries make trees of
    /// two or three.
    pub(super) fn node(
        self,
        address: u64,
        signature: &[u8],
        above: Option<u8>,
    ) -> Option<(Cursor<'a>, u8, u16)> {
        let mut cursor = self.from(address)?;
        cursor.expect(signature)?;
        let own = cursor.u8()?;
        if above.map_or(own > 16, |above| above.checked_sub(1) != Some(own)) {
            return None;
        }
        let children = cursor.u16()?;
        cursor.address()?;
        cursor.address()?;
        Some((cursor, own, children))
    }

    /// Exactly these bytes.
    pub(super) fn slice(self, address: u64, length: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(address).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
    }

    pub(super) const fn cursor(self, bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { file: self, bytes }
    }

    pub(super) fn length(self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Whether a range lies in the file. An address of all ones says that nothing is stored.
    pub(super) fn holds(self, address: u64, length: u64) -> bool {
        self.is_undefined(address)
            || address.checked_add(length).is_some_and(|end| end <= self.length())
    }

    pub(super) fn is_undefined(self, address: u64) -> bool {
        let bits = u32::from(self.address_size).saturating_mul(8);
        address == u64::MAX.checked_shr(64_u32.saturating_sub(bits)).unwrap_or(u64::MAX)
    }
}

/// Some bytes of a file, read from the front.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    file: File<'a>,
    bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(super) fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    /// Takes bytes that must be these.
    pub(super) fn expect(&mut self, signature: &[u8]) -> Option<()> {
        (self.take(signature.len())? == signature).then_some(())
    }

    /// A little-endian number of up to eight bytes.
    pub(super) fn number(&mut self, size: usize) -> Option<u64> {
        let mut wide = [0; 8];
        wide.get_mut(..size)?.copy_from_slice(self.take(size)?);
        Some(u64::from_le_bytes(wide))
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        u16::try_from(self.number(2)?).ok()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        u32::try_from(self.number(4)?).ok()
    }

    pub(super) fn address(&mut self) -> Option<u64> {
        self.number(usize::from(self.file.address_size))
    }

    pub(super) fn length(&mut self) -> Option<u64> {
        self.number(usize::from(self.file.length_size))
    }

    /// A number whose own size is given by two bits: 1, 2, 4 or 8 bytes.
    pub(super) fn by_bits(&mut self, bits: u8) -> Option<u64> {
        self.number(1_usize << (bits & 3))
    }
}

/// How much of a name is read: a report shows no more, and names need not end at all.
const NAME: usize = 1024;

/// The text before the first zero.
pub(super) fn until_zero(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.get(..NAME).unwrap_or(bytes);
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
