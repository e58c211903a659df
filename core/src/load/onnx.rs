//! Loads the initialisers of an ONNX model: a dict of tensors by name, the graph's own first.
//!
//! The model is judged by [`crate::format::onnx`] first, and what breaks a rule of the encoding or
//! of the schema is an error here. Initialisers of a subgraph are named `NODE/ATTRIBUTE/NAME`, where
//! a node without a name goes by its first output, those of a local function's subgraphs
//! `DOMAIN::FUNCTION/…`, and those of a training step `training/INDEX/…`. The model's
//! `metadata_props` are the metadata.
//!
//! Raw data lies in the file, and data in another file lies there; numbers that the message holds
//! one by one are put together into bytes ([`numbers`]). Tensors that are said to lie in exactly the
//! same bytes share a storage. Text becomes an array of `str`, as `numpy_helper.to_array` gives it.
//! A sparse initialiser becomes a COO tensor.
//!
//! It refuses to run or to fold anything: a tensor in an attribute, such as a `Constant` node's, is
//! part of the program. It opens no file itself, and takes no path but those that the judge takes
//! for paths inside the model's folder.

mod numbers;
mod sparse;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Options;
use super::dense::Dense;
use crate::checkpoint::{
    Builder, Checkpoint, Dict, DictKind, Dtype, LoadError, Object, Place, Problem, StorageId, Value,
};
use crate::format::event::Event;
use crate::format::onnx::graph::{known, text};
use crate::format::onnx::read;
use crate::format::onnx::tensor::Tensor;
use crate::format::protobuf::{Message, Value as Wire};
use crate::score::Rule;

/// The files beside a model that its data lies in.
pub trait Files {
    /// Opens the one at a path below the model's folder: its number among the checkpoint's files.
    ///
    /// # Errors
    /// [`Problem::MissingStorage`].
    fn open(&mut self, location: &str) -> Result<u32, Problem>;

    /// The bytes of one that was opened.
    fn bytes(&self, file: u32) -> &[u8];
}

/// How much text the names may take, in lengths of the file: a name stands once for its tensor, and
/// those of nodes stand before each that lies below.
const NAMES_RATIO: usize = 8;
/// What is granted besides.
const NAMES_FLOOR: usize = 64 << 10;

/// Loads a file.
///
/// # Errors
/// [`Problem::Format`] where the model breaks a rule of the format, [`Problem::Unbuilt`] for types
/// and forms that are not rebuilt, [`Problem::ShortStorage`] where another file is too short, what
/// [`Files::open`] gives, and what [`Builder`] says.
pub fn load(
    bytes: &[u8],
    options: &Options,
    files: &mut dyn Files,
) -> Result<Checkpoint, LoadError> {
    judged(bytes, options)?;
    let mut builder = Builder::new();
    let at = |problem| LoadError::at(problem, 0);
    let dense = Dense::new(&mut builder).map_err(at)?;
    let mut reader = Reader {
        builder,
        dense,
        file: options.file,
        model: bytes,
        files,
        opened: BTreeMap::new(),
        shared: BTreeMap::new(),
        unpacked: wide(bytes.len()),
        items: Vec::new(),
        names: BTreeSet::new(),
        text: bytes.len().saturating_mul(NAMES_RATIO).saturating_add(NAMES_FLOOR),
    };
    let model = Message::new(bytes, 0);
    let mut graphs = Graphs::of(model);
    while let Some((graph, path)) = graphs.next.pop_front() {
        reader.graph(graph, &path)?;
        graphs.below(graph, &path);
    }
    for entry in known(model).filter(|field| field.number == 14) {
        if let Wire::Bytes(entry) = entry.value {
            let string = |number| core::str::from_utf8(text(entry, number)).unwrap_or_default();
            let added = reader.builder.metadata(string(1), string(2));
            added.map_err(|problem| LoadError::at(problem, entry.offset))?;
        }
    }
    let Reader { mut builder, items, .. } = reader;
    let dict = Object::Dict(Dict { kind: DictKind::Plain, items, state: None });
    let root = builder.object(dict).map_err(at)?;
    builder.finish(Value::Object(root), &options.limits.pickle).map_err(at)
}

/// Walks the model as its judge does: the first thing that is wrong with it is an error.
fn judged(bytes: &[u8], options: &Options) -> Result<(), LoadError> {
    let mut broken = None;
    read(bytes, &options.limits, &mut |event| {
        if let Event::Anomaly(anomaly) = event
            && matches!(anomaly.rule, Rule::OnnxStructure | Rule::OnnxExternalDataEscape)
        {
            broken.get_or_insert_with(|| {
                let subject = String::from_utf8_lossy(anomaly.subject);
                LoadError::about(Problem::Format(anomaly.message), anomaly.offset, subject)
            });
        }
    });
    broken.map_or(Ok(()), Err)
}

/// The graphs that have not been read yet, each with what stands before its names.
struct Graphs<'a> {
    next: VecDeque<(Message<'a>, String)>,
}

impl<'a> Graphs<'a> {
    fn of(model: Message<'a>) -> Self {
        let mut graphs = Self { next: VecDeque::new() };
        let mut steps = 0_u32;
        for field in known(model) {
            let Wire::Bytes(message) = field.value else { continue };
            match field.number {
                // The model's own graph is read first, wherever it stands.
                7 => graphs.next.push_front((message, String::new())),
                20 => {
                    for graph in known(message) {
                        if let (1 | 2, Wire::Bytes(graph)) = (graph.number, graph.value) {
                            graphs.next.push_back((graph, format!("training/{steps}/")));
                        }
                    }
                    steps = steps.saturating_add(1);
                }
                25 => {
                    let name = format!("{}::{}/", shown(message, 10), shown(message, 1));
                    graphs.nodes(message, 7, &name);
                }
                _ => {}
            }
        }
        graphs
    }

    /// The graphs in the attributes of a graph's nodes.
    fn below(&mut self, graph: Message<'a>, path: &str) {
        self.nodes(graph, 1, path);
    }

    fn nodes(&mut self, message: Message<'a>, number: u32, path: &str) {
        for node in known(message).filter(|field| field.number == number) {
            let Wire::Bytes(node) = node.value else { continue };
            for attribute in known(node).filter(|field| field.number == 5) {
                let Wire::Bytes(attribute) = attribute.value else { continue };
                let graphs = known(attribute).filter(|field| matches!(field.number, 6 | 11));
                for (index, graph) in graphs.enumerate() {
                    let Wire::Bytes(inner) = graph.value else { continue };
                    let mut name = shown(node, 3);
                    if name.is_empty() {
                        name = first(node, 2);
                    }
                    let of = shown(attribute, 1);
                    let path = match graph.number {
                        6 => format!("{path}{name}/{of}/"),
                        _ => format!("{path}{name}/{of}/{index}/"),
                    };
                    self.next.push_back((inner, path));
                }
            }
        }
    }
}

/// The text of a field.
fn shown(message: Message<'_>, number: u32) -> String {
    String::from_utf8_lossy(text(message, number)).into_owned()
}

/// The text of the first of several fields.
fn first(message: Message<'_>, number: u32) -> String {
    let mut fields = known(message).filter(|field| field.number == number);
    match fields.next().map(|field| field.value) {
        Some(Wire::Bytes(text)) => String::from_utf8_lossy(text.bytes).into_owned(),
        _ => String::new(),
    }
}

/// What is read so far.
struct Reader<'a, 'f> {
    builder: Builder,
    dense: Dense,
    file: u32,
    model: &'a [u8],
    files: &'f mut dyn Files,
    /// The numbers of the other files, by their locations.
    opened: BTreeMap<&'a [u8], u32>,
    /// The storages that lie in a file: number, first byte, length.
    shared: BTreeMap<(u32, u64, u64), StorageId>,
    /// How many more bytes may come of bits that are unpacked: as many for each byte that is there
    /// as [`numbers::GROWTH`] says. Tensors may share theirs, so that a small model could ask for
    /// any number.
    unpacked: u64,
    items: Vec<(Value, Value)>,
    names: BTreeSet<String>,
    /// How much more text the names may take.
    text: usize,
}

/// Where a tensor's bytes lie as they are.
#[derive(Clone, Copy)]
struct Located {
    file: u32,
    offset: u64,
    length: u64,
}

impl<'a> Reader<'a, '_> {
    /// The initialisers of one graph.
    fn graph(&mut self, graph: Message<'a>, path: &str) -> Result<(), LoadError> {
        for field in known(graph) {
            let (number @ (5 | 15), Wire::Bytes(message)) = (field.number, field.value) else {
                continue;
            };
            // A sparse one goes by the name of its values.
            let values = if number == 5 { message } else { sparse::values(message) };
            let own = shown(values, 8);
            let error = |problem| LoadError::about(problem, message.offset, own.as_str());
            let length = path.len().saturating_add(own.len());
            self.text = self.text.checked_sub(length).ok_or_else(|| error(Problem::Full))?;
            let name = format!("{path}{own}");
            let key = self.builder.text(&name).map_err(error)?;
            if !self.names.insert(name) {
                let why = "two initialisers have the same name";
                return Err(error(Problem::Format(why)));
            }
            let made = match number {
                5 => self.tensor(&Tensor::of(message)),
                _ => self.sparse(message),
            };
            let made = made.map_err(error)?;
            self.items.push((Value::Text(key), Value::Object(made)));
        }
        Ok(())
    }

    /// The bytes of something that is located.
    fn slice(&self, located: Located) -> Result<&[u8], Problem> {
        let bytes =
            if located.file == self.file { self.model } else { self.files.bytes(located.file) };
        let start = usize::try_from(located.offset).ok();
        let end = start.zip(usize::try_from(located.length).ok());
        let end = end.and_then(|(start, length)| start.checked_add(length));
        let slice = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
        slice.ok_or(Problem::ShortStorage)
    }

    /// Where data lies that is in another file.
    fn elsewhere(&mut self, tensor: &Tensor<'a>, size: u64) -> Result<Located, Problem> {
        let place = tensor.description.place();
        let (location, offset, length) = place
            .ok_or(Problem::Unbuilt("the place of data in another file is not a plain one"))?;
        let file = match self.opened.get(location) {
            Some(&file) => file,
            None => {
                let text = core::str::from_utf8(location).map_err(|_| Problem::Encoding)?;
                let file = self.files.open(text)?;
                self.opened.insert(location, file);
                self.unpacked = self.unpacked.saturating_add(wide(self.files.bytes(file).len()));
                file
            }
        };
        let located = Located { file, offset, length: length.unwrap_or(size) };
        self.slice(located).map(|_| located)
    }

    /// The storage of bytes that lie in a file as they are.
    fn in_file(&mut self, dtype: Dtype, located: Located) -> Result<StorageId, Problem> {
        let Located { file, offset, length } = located;
        if let Some(&storage) = self.shared.get(&(file, offset, length)) {
            return Ok(storage);
        }
        let place = Place::File { file, offset };
        let storage = self.dense.storage(&mut self.builder, dtype, length, place)?;
        self.shared.insert((file, offset, length), storage);
        Ok(storage)
    }

    /// The storage of bytes that were put together.
    fn owned(&mut self, dtype: Dtype, bytes: &[u8]) -> Result<StorageId, Problem> {
        let span = self.builder.bytes(bytes)?;
        let place = Place::Owned(span);
        self.dense.storage(&mut self.builder, dtype, wide(bytes.len()), place)
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a broken promise fails the test")]
mod tests;
