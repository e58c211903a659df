//! The header's dict: a literal in the spelling of Python's `repr`, and the dtype that it names.

use super::NpyKind;

/// The most dimensions: `NPY_MAXDIMS` of numpy 2; it was 32 before.
const DIMENSIONS: usize = 64;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dtype: Dtype,
    /// How many elements there are.
    pub(crate) count: u64,
}

/// How large an element is, and whether it holds references to objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dtype {
    pub(crate) size: u64,
    pub(crate) objects: bool,
}

/// What is wrong, and where in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderError {
    pub(crate) kind: NpyKind,
    pub(crate) offset: usize,
}

/// One thing that a header says, in the order in which it does. Whether the header is sound is
/// known at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// Whether the first index changes fastest.
    Fortran(bool),
    /// A size of the array's shape.
    Size(u64),
    /// A dtype without fields, as it is spelled.
    Plain(&'a [u8]),
    /// A dtype with fields starts: each is a name and a dtype.
    Fields,
    /// The name of a field, escapes as they stand.
    Name(&'a [u8]),
    /// The field whose name comes next has a title too.
    Title,
    /// The dtype with fields ends.
    End,
    /// The dtype that was just told stands as often as a shape says.
    Repeated,
}

type Read<T> = Result<T, HeaderError>;

impl Header {
    /// Reads the text of a header. `python2` allows the `L` that Python 2 wrote behind long
    /// integers, which numpy takes out of versions 1 and 2 (`_filter_header`).
    pub(super) fn parse<'a>(
        text: &'a [u8],
        python2: bool,
        depth: u32,
        each: &mut dyn FnMut(Part<'a>),
    ) -> Read<Self> {
        let mut literal = Literal { text, at: 0, python2, each };
        let (mut dtype, mut order, mut count) = (None, None, None);
        literal.expect(b'{', NpyKind::Literal)?;
        while !literal.take(b'}') {
            let key = literal.string(NpyKind::Literal)?;
            literal.expect(b':', NpyKind::Literal)?;
            let repeated = match key {
                b"descr" => dtype.replace(literal.dtype(depth)?).is_some(),
                b"fortran_order" => {
                    let fortran = literal.boolean()?;
                    (literal.each)(Part::Fortran(fortran));
                    order.replace(fortran).is_some()
                }
                b"shape" => count.replace(literal.shape(true)?).is_some(),
                _ => true,
            };
            if repeated {
                return Err(literal.error(NpyKind::Keys));
            }
            if !literal.take(b',') {
                literal.expect(b'}', NpyKind::Literal)?;
                break;
            }
        }
        literal.skip();
        if literal.at < text.len() {
            return Err(literal.error(NpyKind::Literal));
        }
        match (dtype, order, count) {
            (Some(dtype), Some(_), Some(count)) => Ok(Self { dtype, count }),
            _ => Err(literal.error(NpyKind::Keys)),
        }
    }
}

/// The text of a literal, and how far it is read.
struct Literal<'a, 'e> {
    text: &'a [u8],
    at: usize,
    python2: bool,
    each: &'e mut dyn FnMut(Part<'a>),
}

impl<'a> Literal<'a, '_> {
    const fn error(&self, kind: NpyKind) -> HeaderError {
        HeaderError { kind, offset: self.at }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self) {
        let blanks = self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n'));
        self.at = self.at.saturating_add(blanks.count());
    }

    /// The next byte that is no blank; it is not taken.
    fn peek(&mut self) -> Option<u8> {
        self.skip();
        self.rest().first().copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn expect(&mut self, byte: u8, kind: NpyKind) -> Read<()> {
        if self.take(byte) { Ok(()) } else { Err(self.error(kind)) }
    }

    fn boolean(&mut self) -> Read<bool> {
        self.skip();
        let (word, value) = match self.rest().first() {
            Some(b'T') => (b"True".as_slice(), true),
            _ => (b"False".as_slice(), false),
        };
        if !self.rest().starts_with(word) {
            return Err(self.error(NpyKind::Literal));
        }
        self.at = self.at.saturating_add(word.len());
        Ok(value)
    }

    /// A string's text between its quotes, escapes as they stand.
    fn string(&mut self, kind: NpyKind) -> Read<&'a [u8]> {
        self.skip();
        // Python 2 wrote names as Unicode where they were, and Python 3 reads it.
        if matches!(self.rest(), [b'u', b'\'' | b'"', ..]) {
            self.at = self.at.saturating_add(1);
        }
        let Some(&quote) = self.rest().first().filter(|byte| matches!(byte, b'\'' | b'"')) else {
            return Err(self.error(kind));
        };
        self.at = self.at.saturating_add(1);
        let start = self.at;
        loop {
            match self.rest() {
                [b'\\', escape @ ..] => {
                    let length = escape_length(escape).ok_or(self.error(NpyKind::Literal))?;
                    self.at = self.at.saturating_add(length).saturating_add(1);
                }
                // A line ends a string of one line, and Python reads no NUL in a program.
                [b'\n' | b'\r' | 0, ..] | [] => return Err(self.error(NpyKind::Literal)),
                [byte, ..] if *byte == quote => break,
                _ => self.at = self.at.saturating_add(1),
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.at = self.at.saturating_add(1);
        Ok(text)
    }

    /// A decimal count. Python refuses zeros in front of one.
    fn count(&mut self) -> Read<u64> {
        self.skip();
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = self.rest().get(..digits).unwrap_or_default();
        if text.is_empty() || digits > 1 && text.starts_with(b"0") {
            return Err(self.error(NpyKind::Shape));
        }
        let value = text.iter().try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
        });
        let value = value.filter(|&value| i64::try_from(value).is_ok());
        let value = value.ok_or(self.error(NpyKind::Overflow))?;
        self.at = self.at.saturating_add(digits);
        if self.python2 && self.rest().first() == Some(&b'L') {
            self.at = self.at.saturating_add(1);
        }
        Ok(value)
    }

    /// The product of a tuple of counts. Zeros make an array empty, and the other counts must
    /// still fit an address space, as numpy's own strides do. `own`: it is the array's.
    fn shape(&mut self, own: bool) -> Read<u64> {
        self.expect(b'(', NpyKind::Shape)?;
        let (mut product, mut empty, mut dimensions) = (1_u64, false, 0_usize);
        let mut comma = true;
        while !self.take(b')') {
            if !comma || dimensions == DIMENSIONS {
                return Err(self.error(NpyKind::Shape));
            }
            let count = self.count()?;
            if own {
                (self.each)(Part::Size(count));
            }
            empty |= count == 0;
            product = product
                .checked_mul(count.max(1))
                .filter(|&product| i64::try_from(product).is_ok())
                .ok_or(self.error(NpyKind::Overflow))?;
            dimensions = dimensions.saturating_add(1);
            comma = self.take(b',');
        }
        // `(1)` is a number.
        if dimensions == 1 && !comma {
            return Err(self.error(NpyKind::Shape));
        }
        Ok(if empty { 0 } else { product })
    }

    /// A dtype: a string, a list of fields, or a dtype with the shape of its elements.
    fn dtype(&mut self, depth: u32) -> Read<Dtype> {
        let Some(inner) = depth.checked_sub(1) else {
            return Err(self.error(NpyKind::Depth));
        };
        match self.peek() {
            Some(b'[') => self.fields(inner),
            Some(b'(') => {
                self.take(b'(');
                let dtype = self.dtype(inner)?;
                self.expect(b',', NpyKind::Dtype)?;
                let dtype = self.repeated(dtype)?;
                self.take(b',');
                self.expect(b')', NpyKind::Dtype)?;
                Ok(dtype)
            }
            _ => {
                let text = self.string(NpyKind::Dtype)?;
                let dtype = plain(text).ok_or(self.error(NpyKind::Dtype))?;
                (self.each)(Part::Plain(text));
                Ok(dtype)
            }
        }
    }

    /// `[(name, dtype), (name, dtype, shape), …]`
    fn fields(&mut self, depth: u32) -> Read<Dtype> {
        let mut whole = Dtype { size: 0, objects: false };
        self.expect(b'[', NpyKind::Dtype)?;
        (self.each)(Part::Fields);
        while !self.take(b']') {
            self.expect(b'(', NpyKind::Dtype)?;
            if self.take(b'(') {
                self.string(NpyKind::Dtype)?;
                (self.each)(Part::Title);
                self.expect(b',', NpyKind::Dtype)?;
                let name = self.string(NpyKind::Dtype)?;
                (self.each)(Part::Name(name));
                self.take(b',');
                self.expect(b')', NpyKind::Dtype)?;
            } else {
                let name = self.string(NpyKind::Dtype)?;
                (self.each)(Part::Name(name));
            }
            self.expect(b',', NpyKind::Dtype)?;
            let mut field = self.dtype(depth)?;
            if self.take(b',') && self.peek() != Some(b')') {
                field = self.repeated(field)?;
                self.take(b',');
            }
            self.expect(b')', NpyKind::Dtype)?;
            let size = whole.size.checked_add(field.size);
            whole.size = size.ok_or(self.error(NpyKind::Overflow))?;
            whole.objects |= field.objects;
            if !self.take(b',') {
                self.expect(b']', NpyKind::Dtype)?;
                break;
            }
        }
        (self.each)(Part::End);
        Ok(whole)
    }

    /// A dtype, as often as the count or the tuple that follows says.
    fn repeated(&mut self, dtype: Dtype) -> Read<Dtype> {
        let count = match self.peek() {
            Some(b'(') => self.shape(false)?,
            _ => self.count()?,
        };
        (self.each)(Part::Repeated);
        let size = dtype.size.checked_mul(count).ok_or(self.error(NpyKind::Overflow))?;
        Ok(Dtype { size, ..dtype })
    }
}

/// How many bytes an escape takes behind its backslash (Python's reference, String and Bytes
/// literals). `\N{…}` names a character, and no `repr` writes it.
fn escape_length(rest: &[u8]) -> Option<usize> {
    let digits = match rest.first()? {
        b'x' => 2_usize,
        b'u' => 4,
        b'U' => 8,
        b'N' | 0 | b'\r' => return None,
        _ => return Some(1),
    };
    let text = rest.get(1..digits.checked_add(1)?)?;
    if !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let value = text.iter().fold(0_u32, |value, &digit| {
        let digit = char::from(digit).to_digit(16).unwrap_or(0);
        value.wrapping_shl(4) | digit
    });
    (value <= 0x10_ffff).then_some(digits.saturating_add(1))
}

/// A dtype without fields, as `dtype.str` spells it: byte order, kind, size, unit of time.
///
/// `|O4` and `|O8` are arrays of objects of numpy before 1.6. Sizes are those that numpy knows on
/// some machine: `f12` and `c24` are long doubles of 32-bit ones.
fn plain(text: &[u8]) -> Option<Dtype> {
    let text = match text {
        [b'<' | b'>' | b'|' | b'=', rest @ ..] => rest,
        _ => text,
    };
    let (&kind, rest) = text.split_first()?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (size, unit) = rest.split_at_checked(digits)?;
    let size = size.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    })?;
    if !unit.is_empty() && !matches!(kind, b'M' | b'm') {
        return None;
    }
    let sized = |sizes: &[u64]| sizes.contains(&size).then_some(size);
    let size = match kind {
        b'b' => sized(&[1]),
        b'?' => (digits == 0).then_some(1),
        b'i' | b'u' => sized(&[1, 2, 4, 8]),
        b'f' => sized(&[2, 4, 8, 12, 16]),
        b'c' => sized(&[8, 16, 24, 32]),
        b'M' | b'm' => sized(&[8]).filter(|_| is_unit(unit)),
        // Sizes are C ints, of bytes.
        b'S' | b'V' => (digits > 0).then_some(size),
        b'U' => (digits > 0).then(|| size.checked_mul(4)).flatten(),
        b'O' => (digits == 0 || matches!(size, 4 | 8)).then_some(8),
        _ => None,
    };
    let size = size.filter(|&size| i32::try_from(size).is_ok())?;
    Some(Dtype { size, objects: kind == b'O' })
}

/// `[ns]`, `[25us]`, `[D]` or nothing (`parse_datetime_metadata_from_metastr`).
fn is_unit(text: &[u8]) -> bool {
    let Some(inner) = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")) else {
        return text.is_empty();
    };
    let digits = inner.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, unit) = inner.split_at_checked(digits).unwrap_or_default();
    let counted = count.is_empty() || count.len() < 10 && !count.starts_with(b"0");
    counted
        && matches!(
            unit,
            b"Y" | b"M"
                | b"W"
                | b"D"
                | b"h"
                | b"m"
                | b"s"
                | b"ms"
                | b"us"
                | b"ns"
                | b"ps"
                | b"fs"
                | b"as"
        )
}
