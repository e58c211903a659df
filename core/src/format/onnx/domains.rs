//! Whose operator a node calls: the runtime's, a function's of the model, or somebody's library.

use crate::format::event::Sink;
use crate::format::protobuf::{Message, Value, int64};
use crate::limits::Limits;
use crate::rules::names::{Named, System, named};

use super::Violation;

/// The most operator sets that a model imports: one for each domain, of which the exporters use
/// a dozen.
const IMPORTS: usize = 64;

/// The default domain under the name that it also has (`onnx/common/constants.h`).
const DEFAULT: &[u8] = b"ai.onnx";

/// A domain under its one name.
fn normal(domain: &[u8]) -> &[u8] {
    if domain.is_empty() { DEFAULT } else { domain }
}

/// The operator sets that a model or a function imports.
#[derive(Clone, Copy)]
pub(super) struct Imports<'a> {
    domains: [&'a [u8]; IMPORTS],
    versions: [i64; IMPORTS],
    count: usize,
}

impl<'a> Imports<'a> {
    /// Reads them from the fields of that number.
    pub(super) fn of(message: Message<'a>, number: u32, sink: Sink<'_>) -> Self {
        let mut imports = Self { domains: [&[]; IMPORTS], versions: [0; IMPORTS], count: 0 };
        for field in message.fields().map_while(Result::ok) {
            if let (true, Value::Bytes(import)) = (field.number == number, field.value) {
                imports.add(import, sink);
            }
        }
        imports
    }

    fn add(&mut self, import: Message<'a>, sink: Sink<'_>) {
        let mut domain: &[u8] = &[];
        let mut version = 0;
        for field in import.fields().map_while(Result::ok) {
            match (field.number, field.value) {
                (1, Value::Bytes(text)) => domain = text.bytes,
                (2, Value::Varint(number)) => version = int64(number),
                _ => {}
            }
        }
        let domain = normal(domain);
        let least = i64::from(named(System::Onnx, domain).is_some());
        let plausible = (least..=i64::from(i32::MAX)).contains(&version);
        // The same twice does no harm, and converters that merge models leave it so.
        let fits = match self.version(domain) {
            Some(before) => before == version,
            None => self.push(domain, version),
        };
        if !plausible || !fits {
            sink(Violation::Imports.at(import.offset, domain));
        }
    }

    /// Before IR version 3 there is one set, without being imported.
    pub(super) fn add_default(&mut self) {
        self.push(DEFAULT, 1);
    }

    fn push(&mut self, domain: &'a [u8], version: i64) -> bool {
        match (self.domains.get_mut(self.count), self.versions.get_mut(self.count)) {
            (Some(place), Some(number)) => {
                (*place, *number) = (domain, version);
                self.count = self.count.saturating_add(1);
                true
            }
            _ => false,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn version(&self, domain: &[u8]) -> Option<i64> {
        let imports = self.domains.iter().zip(&self.versions).take(self.count);
        imports.into_iter().find(|(name, _)| **name == domain).map(|(_, &version)| version)
    }
}

/// What a function is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    domain: &'a [u8],
    operator: &'a [u8],
    overload: &'a [u8],
}

impl<'a> Name<'a> {
    pub(super) fn new(domain: &'a [u8], operator: &'a [u8], overload: &'a [u8]) -> Self {
        Self { domain: normal(domain), operator, overload }
    }
}

/// The functions that a model brings along, in the order of their names.
#[derive(Debug)]
pub(super) struct Functions<'a> {
    names: list::List<Name<'a>>,
}

impl<'a> Functions<'a> {
    /// Reads the names of a model's functions.
    pub(super) fn of(model: Message<'a>, limits: &Limits, sink: Sink<'_>) -> Self {
        let mut names = list::List::new(limits.format.objects);
        for field in model.fields().map_while(Result::ok) {
            let (25, Value::Bytes(function)) = (field.number, field.value) else { continue };
            let (mut domain, mut operator, mut overload): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
            for field in function.fields().map_while(Result::ok) {
                match (field.number, field.value) {
                    (1, Value::Bytes(text)) => operator = text.bytes,
                    (10, Value::Bytes(text)) => domain = text.bytes,
                    (13, Value::Bytes(text)) => overload = text.bytes,
                    _ => {}
                }
            }
            if operator.is_empty() {
                sink(Violation::Function.at(function.offset, domain));
            }
            if !names.push(Name::new(domain, operator, overload)) {
                sink(Violation::TooManyFunctions.at(function.offset, operator));
                break;
            }
        }
        let sorted = names.sort();
        for pair in sorted.windows(2) {
            if let [one, next] = pair
                && one == next
            {
                sink(Violation::Function.at(model.offset, one.operator));
            }
        }
        Self { names }
    }

    fn has(&self, name: &Name<'_>) -> bool {
        let names: &[Name<'_>] = self.names.items();
        names.binary_search(name).is_ok()
    }
}

/// Judges the operator of a node.
pub(super) fn judge(
    name: Name<'_>,
    imports: &Imports<'_>,
    functions: &Functions<'_>,
    offset: u64,
    sink: Sink<'_>,
) {
    let full = Joined::of(name.domain, name.operator);
    if imports.version(name.domain).is_none() {
        sink(Violation::ImportMissing.at(offset, full.bytes()));
    }
    if functions.has(&name) {
        // Its own nodes are judged where they stand.
        return;
    }
    let known = named(System::Onnx, full.bytes()).or_else(|| named(System::Onnx, name.domain));
    match known {
        Some(Named::Known(_)) => {}
        Some(Named::Dangerous(_)) => sink(Violation::OperatorDangerous.at(offset, full.bytes())),
        None => sink(Violation::DomainCustom.at(offset, full.bytes())),
    }
}

/// `domain::operator`, cut where it is longer than any name that is judged.
struct Joined {
    bytes: [u8; 256],
    length: usize,
}

impl Joined {
    fn of(domain: &[u8], operator: &[u8]) -> Self {
        let mut joined = Self { bytes: [0; 256], length: 0 };
        let all = domain.iter().chain(b"::").chain(operator);
        for (place, &byte) in joined.bytes.iter_mut().zip(all) {
            *place = byte;
            joined.length = joined.length.saturating_add(1);
        }
        joined
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// A list that grows up to a limit.
#[cfg(feature = "alloc")]
mod list {
    extern crate alloc;

    use alloc::vec::Vec;

    #[derive(Debug)]
    pub(super) struct List<T> {
        items: Vec<T>,
        limit: usize,
    }

    impl<T: Copy + Ord> List<T> {
        pub(super) fn new(limit: u32) -> Self {
            Self { items: Vec::new(), limit: usize::try_from(limit).unwrap_or(usize::MAX) }
        }

        /// Whether there was room.
        pub(super) fn push(&mut self, item: T) -> bool {
            let room = self.items.len() < self.limit && self.items.try_reserve(1).is_ok();
            if room {
                self.items.push(item);
            }
            room
        }

        pub(super) fn sort(&mut self) -> &[T] {
            self.items.sort_unstable();
            &self.items
        }

        pub(super) fn items(&self) -> &[T] {
            &self.items
        }
    }
}

/// A list of a few, where there is no heap: a model with more functions is not judged then.
#[cfg(not(feature = "alloc"))]
mod list {
    #[derive(Debug)]
    pub(super) struct List<T> {
        items: [T; 64],
        length: usize,
    }

    impl<T: Copy + Ord + Default> List<T> {
        pub(super) fn new(_limit: u32) -> Self {
            Self { items: [T::default(); 64], length: 0 }
        }

        /// Whether there was room.
        pub(super) fn push(&mut self, item: T) -> bool {
            let Some(place) = self.items.get_mut(self.length) else { return false };
            *place = item;
            self.length = self.length.saturating_add(1);
            true
        }

        pub(super) fn sort(&mut self) -> &[T] {
            let items = self.items.get_mut(..self.length).unwrap_or_default();
            items.sort_unstable();
            items
        }

        pub(super) fn items(&self) -> &[T] {
            self.items.get(..self.length).unwrap_or_default()
        }
    }
}
