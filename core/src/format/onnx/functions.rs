//! The functions that a model brings along: which there are, and what it takes to put their
//! nodes in the place of each call, as ONNX Runtime does before it runs anything.
//!
//! Ten functions that call the next one twice make a thousand nodes of one, and one that calls
//! itself makes no end of them. `onnx/checker.cc` (`check_function_call_cycles`) refuses circles
//! and long chains, and does not count.

use crate::format::event::Sink;
use crate::format::protobuf::{Message, Value};
use crate::limits::{FORMAT_MESSAGE_DEPTH, Limits};

use super::Violation;
use super::domains::normal;
use super::graph::known;

/// What a function is called by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name<'a> {
    pub(super) domain: &'a [u8],
    pub(super) operator: &'a [u8],
    overload: &'a [u8],
}

impl<'a> Name<'a> {
    pub(super) fn new(domain: &'a [u8], operator: &'a [u8], overload: &'a [u8]) -> Self {
        Self { domain: normal(domain), operator, overload }
    }
}

/// One function.
#[derive(Clone, Copy, Debug, Default)]
struct Function<'a> {
    name: Name<'a>,
    /// Its message, and where that starts.
    body: &'a [u8],
    offset: u64,
    size: Size,
}

/// How many nodes a function makes when it is called.
#[derive(Clone, Copy, Debug, Default)]
enum Size {
    #[default]
    Unknown,
    /// It is being counted: whoever asks is called by it.
    Open,
    Nodes(u64),
}

/// The functions that a model brings along, in the order of their names.
#[derive(Debug)]
pub(super) struct Functions<'a> {
    list: list::List<Function<'a>>,
}

impl<'a> Functions<'a> {
    /// Reads the names of a model's functions.
    pub(super) fn of(model: Message<'a>, limits: &Limits, sink: Sink<'_>) -> Self {
        let mut list = list::List::new(limits.format.objects);
        for field in known(model) {
            let (25, Value::Bytes(function)) = (field.number, field.value) else { continue };
            let (mut domain, mut operator, mut overload): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
            for field in known(function) {
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
            let name = Name::new(domain, operator, overload);
            let Message { bytes: body, offset } = function;
            if !list.push(Function { name, body, offset, size: Size::Unknown }) {
                sink(Violation::TooManyFunctions.at(offset, operator));
                break;
            }
        }
        let items = list.items();
        items.sort_unstable_by_key(|function| function.name);
        for pair in items.windows(2) {
            if let [one, next] = pair
                && one.name == next.name
            {
                sink(Violation::Function.at(next.offset, next.name.operator));
            }
        }
        Self { list }
    }

    pub(super) fn has(&mut self, name: &Name<'_>) -> bool {
        self.find(name).is_some()
    }

    fn find(&mut self, name: &Name<'_>) -> Option<usize> {
        self.list.items().binary_search_by(|function| function.name.cmp(name)).ok()
    }

    /// Says whether the functions call each other in circles, or make too many nodes of the
    /// model's graph.
    pub(super) fn check(&mut self, model: Message<'a>, limits: &Limits, sink: Sink<'_>) {
        let count = self.list.items().len();
        if count == 0 {
            return;
        }
        let limit = u64::from(limits.format.objects);
        for place in 0..count {
            self.size(place, 0, sink);
        }
        for field in known(model) {
            if let (7, Value::Bytes(graph)) = (field.number, field.value)
                && self.nodes(graph, 1, 0, sink) > limit
            {
                sink(Violation::FunctionsGrow.at(graph.offset, &[]));
            }
        }
    }

    /// How many nodes the function at a place makes.
    fn size(&mut self, place: usize, depth: u32, sink: Sink<'_>) -> u64 {
        let Some(function) = self.list.items().get_mut(place) else { return 0 };
        let (offset, operator) = (function.offset, function.name.operator);
        let body = Message::new(function.body, offset);
        match function.size {
            Size::Nodes(nodes) => return nodes,
            Size::Open => {
                sink(Violation::FunctionCalls.at(offset, operator));
                return 0;
            }
            Size::Unknown => function.size = Size::Open,
        }
        let nodes = self.nodes(body, 7, depth.saturating_add(1), sink);
        if let Some(function) = self.list.items().get_mut(place) {
            function.size = Size::Nodes(nodes);
        }
        nodes
    }

    /// How many nodes a graph, or a function's body, makes; its nodes are the fields of a number.
    fn nodes(&mut self, body: Message<'a>, number: u32, depth: u32, sink: Sink<'_>) -> u64 {
        if depth > FORMAT_MESSAGE_DEPTH {
            sink(Violation::FunctionCalls.at(body.offset, &[]));
            return 0;
        }
        let mut total = 0_u64;
        for field in known(body) {
            let Value::Bytes(node) = field.value else { continue };
            if field.number != number {
                continue;
            }
            total = total.saturating_add(1);
            let (mut domain, mut operator, mut overload): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
            for field in known(node) {
                let Value::Bytes(inner) = field.value else { continue };
                match field.number {
                    4 => operator = inner.bytes,
                    7 => domain = inner.bytes,
                    8 => overload = inner.bytes,
                    5 => {
                        for field in known(inner) {
                            if let (6 | 11, Value::Bytes(graph)) = (field.number, field.value) {
                                let more = self.nodes(graph, 1, depth.saturating_add(1), sink);
                                total = total.saturating_add(more);
                            }
                        }
                    }
                    _ => {}
                }
            }
            if let Some(place) = self.find(&Name::new(domain, operator, overload)) {
                total = total.saturating_add(self.size(place, depth, sink));
            }
        }
        total
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

    impl<T> List<T> {
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

        pub(super) fn items(&mut self) -> &mut [T] {
            &mut self.items
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

    impl<T: Copy + Default> List<T> {
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

        pub(super) fn items(&mut self) -> &mut [T] {
            self.items.get_mut(..self.length).unwrap_or_default()
        }
    }
}
