//! A pickler good enough to make inputs: plain data, imports and calls, protocols 2 and 4.
//!
//! It writes what CPython's `_pickle.c` writes for the same objects: the shortest opcode for
//! each number and string, a memo entry behind each string, tuple, list and dict, batches of a
//! thousand items, and frames of 64 KiB for protocol 4. Who calls it keeps the memo's numbers
//! of what is used again.

use secure_torch_core::pickle::opcode::Opcode;

/// How many items one `APPENDS` or `SETITEMS` takes (`BATCHSIZE` in `Modules/_pickle.c`).
const BATCH: usize = 1_000;

/// A frame ends at the first object behind this many bytes (`FRAME_SIZE_TARGET`).
const FRAME: usize = 64 * 1024;

/// The protocols that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Protocol 2, which `torch.save` writes.
    Two,
    /// Protocol 4, which `pickle.dump` writes.
    Four,
}

/// A pickle in the making.
#[derive(Debug)]
pub struct Pickler {
    protocol: Protocol,
    out: Vec<u8>,
    /// Where the open frame's contents start; protocol 2 has none.
    frame: usize,
    memoized: u32,
}

impl Pickler {
    /// An empty pickle.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let number = match protocol {
            Protocol::Two => 2,
            Protocol::Four => 4,
        };
        let mut pickler =
            Self { protocol, out: vec![Opcode::Proto.byte(), number], frame: 0, memoized: 0 };
        pickler.open_frame();
        pickler
    }

    /// How many bytes there are so far.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.out.len()
    }

    /// Never: a pickle starts with its protocol.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The whole pickle.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.op(Opcode::Stop);
        self.close_frame();
        self.out
    }

    /// `None`.
    pub fn none(&mut self) {
        self.boundary();
        self.op(Opcode::None);
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.boundary();
        self.op(if value { Opcode::NewTrue } else { Opcode::NewFalse });
    }

    /// An integer, in the shortest form.
    pub fn int(&mut self, value: i64) {
        self.boundary();
        if let Ok(byte) = u8::try_from(value) {
            self.op(Opcode::BinInt1);
            self.out.push(byte);
        } else if let Ok(short) = u16::try_from(value) {
            self.op(Opcode::BinInt2);
            self.out.extend(short.to_le_bytes());
        } else if let Ok(word) = i32::try_from(value) {
            self.op(Opcode::BinInt);
            self.out.extend(word.to_le_bytes());
        } else {
            let bytes = value.to_le_bytes();
            let sign = if value < 0 { 0xff } else { 0 };
            let mut length = bytes.len();
            while length > 1 && bytes[length - 1] == sign && (bytes[length - 2] ^ sign) & 0x80 == 0
            {
                length -= 1;
            }
            self.op(Opcode::Long1);
            self.out.push(u8::try_from(length).unwrap_or(8));
            self.out.extend(&bytes[..length]);
        }
    }

    /// A float.
    pub fn float(&mut self, value: f64) {
        self.boundary();
        self.op(Opcode::BinFloat);
        self.out.extend(value.to_be_bytes());
    }

    /// A string; its number in the memo.
    pub fn text(&mut self, text: &str) -> u32 {
        self.boundary();
        match u8::try_from(text.len()) {
            Ok(length) if self.protocol == Protocol::Four => {
                self.op(Opcode::ShortBinUnicode);
                self.out.push(length);
            }
            _ => {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.op(Opcode::BinUnicode);
                self.out.extend(length.to_le_bytes());
            }
        }
        self.out.extend(text.as_bytes());
        self.memoize()
    }

    /// What the memo holds under a number.
    pub fn get(&mut self, index: u32) {
        self.boundary();
        match u8::try_from(index) {
            Ok(index) => {
                self.op(Opcode::BinGet);
                self.out.push(index);
            }
            Err(_) => {
                self.op(Opcode::LongBinGet);
                self.out.extend(index.to_le_bytes());
            }
        }
    }

    /// A list of `count` items, each written by `item`; its number in the memo.
    pub fn list(&mut self, count: usize, mut item: impl FnMut(&mut Self, usize)) -> u32 {
        self.boundary();
        self.op(Opcode::EmptyList);
        let index = self.memoize();
        self.batches(count, Opcode::Append, Opcode::Appends, &mut item);
        index
    }

    /// A dict of `count` keys and values, each pair written by `item`; its number in the memo.
    pub fn dict(&mut self, count: usize, item: impl FnMut(&mut Self, usize)) -> u32 {
        self.boundary();
        self.op(Opcode::EmptyDict);
        let index = self.memoize();
        self.set_items(count, item);
        index
    }

    /// Keys and values for the object on top of the stack.
    pub fn set_items(&mut self, count: usize, mut item: impl FnMut(&mut Self, usize)) {
        self.batches(count, Opcode::SetItem, Opcode::SetItems, &mut item);
    }

    /// A tuple of `count` items, each written by `item`; its number in the memo, where it has
    /// one: the empty tuple has none.
    pub fn tuple(&mut self, count: usize, mut item: impl FnMut(&mut Self, usize)) -> Option<u32> {
        self.boundary();
        let close = match count {
            0 => {
                self.op(Opcode::EmptyTuple);
                return None;
            }
            1 => Opcode::Tuple1,
            2 => Opcode::Tuple2,
            3 => Opcode::Tuple3,
            _ => {
                self.op(Opcode::Mark);
                Opcode::Tuple
            }
        };
        for index in 0..count {
            item(self, index);
        }
        self.op(close);
        Some(self.memoize())
    }

    /// A global by name, as protocol 2 spells it; its number in the memo.
    pub fn global(&mut self, module: &str, name: &str) -> u32 {
        self.boundary();
        self.op(Opcode::Global);
        for line in [module, name] {
            self.out.extend(line.as_bytes());
            self.out.push(b'\n');
        }
        self.memoize()
    }

    /// Calls what stands below the tuple on top of the stack; the result's number in the memo.
    pub fn reduce(&mut self) -> u32 {
        self.op(Opcode::Reduce);
        self.memoize()
    }

    /// Gives the object below the top its state.
    pub fn build(&mut self) {
        self.op(Opcode::Build);
    }

    /// Asks the loader for what the object on top of the stack names.
    pub fn persistent(&mut self) {
        self.op(Opcode::BinPersId);
    }

    fn batches(
        &mut self,
        count: usize,
        one: Opcode,
        many: Opcode,
        item: &mut dyn FnMut(&mut Self, usize),
    ) {
        if count == 1 {
            item(self, 0);
            return self.op(one);
        }
        for start in (0..count).step_by(BATCH) {
            self.op(Opcode::Mark);
            for index in start..count.min(start + BATCH) {
                item(self, index);
            }
            self.op(many);
        }
    }

    fn op(&mut self, opcode: Opcode) {
        self.out.push(opcode.byte());
    }

    fn memoize(&mut self) -> u32 {
        let index = self.memoized;
        self.memoized += 1;
        match (self.protocol, u8::try_from(index)) {
            (Protocol::Four, _) => self.op(Opcode::Memoize),
            (Protocol::Two, Ok(index)) => {
                self.op(Opcode::BinPut);
                self.out.push(index);
            }
            (Protocol::Two, Err(_)) => {
                self.op(Opcode::LongBinPut);
                self.out.extend(index.to_le_bytes());
            }
        }
        index
    }

    /// Between two objects, where a frame may end.
    fn boundary(&mut self) {
        if self.protocol == Protocol::Four && self.out.len() - self.frame >= FRAME {
            self.close_frame();
            self.open_frame();
        }
    }

    fn open_frame(&mut self) {
        if self.protocol == Protocol::Four {
            self.op(Opcode::Frame);
            self.out.extend([0; 8]);
            self.frame = self.out.len();
        }
    }

    fn close_frame(&mut self) {
        if self.protocol == Protocol::Four {
            let length = (self.out.len() - self.frame) as u64;
            self.out[self.frame - 8..self.frame].copy_from_slice(&length.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_as_cpython_does() {
        // pickle.dumps([1, -1, 70000, 1 << 40, 'a', (), (1, 2.0), {'k': None}], 2)
        let mut pickler = Pickler::new(Protocol::Two);
        pickler.list(8, |pickler, index| match index {
            0 => pickler.int(1),
            1 => pickler.int(-1),
            2 => pickler.int(70_000),
            3 => pickler.int(1 << 40),
            4 => drop(pickler.text("a")),
            5 => drop(pickler.tuple(0, |_, _| {})),
            6 => drop(pickler.tuple(2, |pickler, item| match item {
                0 => pickler.int(1),
                _ => pickler.float(2.0),
            })),
            _ => drop(pickler.dict(1, |pickler, _| {
                pickler.text("k");
                pickler.none();
            })),
        });
        assert_eq!(
            pickler.finish(),
            b"\x80\x02]q\0(K\x01J\xff\xff\xff\xffJp\x11\x01\0\x8a\x06\0\0\0\0\0\x01\
              X\x01\0\0\0aq\x01)K\x01G@\0\0\0\0\0\0\0\x86q\x02}q\x03X\x01\0\0\0kq\x04Nse."
        );
    }

    #[test]
    fn frames_count_their_bytes() {
        // pickle.dumps(['ab', 'ab'], 4), the two being one object
        let mut pickler = Pickler::new(Protocol::Four);
        let mut first = 0;
        pickler.list(2, |pickler, index| match index {
            0 => first = pickler.text("ab"),
            _ => pickler.get(first),
        });
        assert_eq!(pickler.finish(), b"\x80\x04\x95\x0c\0\0\0\0\0\0\0]\x94(\x8c\x02ab\x94h\x01e.");
    }
}
