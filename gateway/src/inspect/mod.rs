//! What a checkpoint holds, as a list of values for people and programs.
//!
//! Every value has a line: its path, what it is, and of a tensor its type, shape, strides where they
//! are not the usual ones, size and storage. An object that occurs again is named and not repeated,
//! so that the list is never longer than the file; the same goes for tensors that are one tensor
//! under two names. No byte of a tensor is read.
//!
//! Paths and keys stand here as the file has them. [`Entry::value`] and kinds are safe to print.

mod show;

use std::collections::{BTreeMap, HashMap};

use secure_torch_core::checkpoint::{
    Array, Dtype, Object, ObjectId, Parameter, Sparse, StorageId, Tensor, Value, extent,
};
use secure_torch_core::limits;
use serde::Serialize;

use crate::load::Checkpoint;
use crate::report::RulesInfo;
use crate::tree::{Step, length, walk};
use crate::view::{Identity, View};
use crate::{Report, text::printable};
pub(crate) use show::plain;
use show::{kind, plain_sequence, quantized};

/// The name and version of the JSON form, as `spec/inspect.schema.json` describes it.
pub const SCHEMA: &str = "secure-torch/inspect/1";

/// What a file holds, and what its judgement said.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// [`SCHEMA`]
    pub schema: &'static str,
    /// The rule set that judged.
    pub rules: RulesInfo,
    /// The file as it was judged.
    pub file: Judged,
    /// The metadata that the format keeps beside the values.
    pub metadata: BTreeMap<String, String>,
    /// Every value, the root first, each before what it holds.
    pub entries: Vec<Entry>,
    /// Whether the walk came to its end. It stops where the paths take more bytes in all than the
    /// names of any safetensors file.
    pub complete: bool,
    /// All of it together, whether or not it is listed.
    pub totals: Totals,
}

/// The judgement, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// The path or name under which the file was given.
    pub path: String,
    /// What the file is, by structure.
    pub format: &'static str,
    /// The file's length.
    pub size_bytes: u64,
    /// The points, capped at 100.
    pub threat_score: u8,
    /// The band that they lie in.
    pub threat_level: &'static str,
    /// `allow` or `block`
    pub verdict: &'static str,
    /// Each reason for a block.
    pub reasons: Vec<String>,
}

/// A value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Entry {
    /// The keys that lead to it, joined by dots, as `convert` names it. Not safe to print.
    pub path: String,
    /// The last of them: a text as it is, anything else as it is shown. Not safe to print.
    pub key: String,
    /// How many keys there are.
    pub depth: u32,
    /// What it is: `dict`, `tensor`, `int`, `collections.OrderedDict`. Safe to print.
    pub kind: String,
    /// How many values it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The names of the attributes that the file gives to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// A plain value, cut where it is long. Safe to print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What a tensor is like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor: Option<Facts>,
    /// The path of the same object, or the same tensor, further up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// Whether what it holds is left out because it lies too deep.
    #[serde(skip_serializing_if = "is_false")]
    pub folded: bool,
}

/// What a tensor, a parameter or an array is like.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The type of the elements: torch's name, or numpy's type string where torch has none.
    pub dtype: String,
    /// The sizes.
    pub shape: Vec<u64>,
    /// The strides in elements, where the elements do not follow each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strides: Option<Vec<u64>>,
    /// How many bytes its elements take, each counted.
    pub bytes: u64,
    /// The number of its storage; none without data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<u64>,
    /// The first byte of its storage that it looks at.
    #[serde(skip_serializing_if = "is_zero")]
    pub storage_offset: u64,
    /// The path of the first tensor of the same storage, where that is another tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares_storage_with: Option<String>,
    /// The device that it was on, unless that is the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Whether it collects gradients.
    #[serde(skip_serializing_if = "is_false")]
    pub requires_grad: bool,
    /// Its class, where that is a subclass. Safe to print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// How a sparse tensor keeps its indices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<&'static str>,
    /// How many elements a sparse tensor names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specified: Option<u64>,
    /// How a quantised tensor's integers stand for floats. Safe to print.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantized: Option<String>,
    /// Whether it shows the complex conjugate of its storage.
    #[serde(skip_serializing_if = "is_false")]
    pub conjugate: bool,
    /// Whether it shows the negative of its storage.
    #[serde(skip_serializing_if = "is_false")]
    pub negative: bool,
}

/// All tensors together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Tensors, parameters and arrays, one under several names counted once.
    pub tensors: u64,
    /// Names of tensors that another name has too.
    pub tied: u64,
    /// The elements of the tensors.
    pub elements: u64,
    /// The bytes that those take.
    pub bytes: u64,
    /// The storages that they look at.
    pub storages: u64,
    /// The bytes of those.
    pub storage_bytes: u64,
    /// Values that are neither tensors nor containers.
    pub plain: u64,
}

/// Lists what a checkpoint holds, down to so many keys.
#[must_use]
pub fn inspect(checkpoint: &Checkpoint, report: &Report, depth: Option<u32>) -> Inspection {
    let mut lister = Lister {
        checkpoint,
        most: depth.unwrap_or(u32::MAX),
        entries: Vec::new(),
        totals: Totals::default(),
        objects: HashMap::new(),
        tensors: HashMap::new(),
        storages: HashMap::new(),
        room: limits::FORMAT_SAFETENSORS_HEADER_BYTES,
    };
    lister.run();
    let metadata = checkpoint.metadata();
    Inspection {
        schema: SCHEMA,
        rules: RulesInfo::CURRENT,
        file: Judged {
            path: report.path.clone(),
            format: report.format,
            size_bytes: report.size_bytes,
            threat_score: report.threat_score,
            threat_level: report.threat_level.name(),
            verdict: if report.load_allowed() { "allow" } else { "block" },
            reasons: report.reasons.clone(),
        },
        metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        entries: lister.entries,
        complete: lister.room > 0,
        totals: lister.totals,
    }
}

struct Lister<'c> {
    checkpoint: &'c Checkpoint,
    most: u32,
    entries: Vec<Entry>,
    totals: Totals,
    /// Where objects and tuples were first met.
    objects: HashMap<(bool, usize), String>,
    tensors: HashMap<Identity, String>,
    storages: HashMap<StorageId, String>,
    /// How many bytes of paths there is still room for: a long key above many values costs its
    /// length for each of them.
    room: u64,
}

impl Lister<'_> {
    fn run(&mut self) {
        let checkpoint = self.checkpoint;
        // Where there is no room left, the listing ends.
        let _ = walk(checkpoint, checkpoint.root(), &mut |step| {
            let bytes = step.path.len().saturating_add(step.last().len());
            self.room = self.room.saturating_sub(bytes as u64);
            if self.room > 0 { Ok(self.value(step)) } else { Err(()) }
        });
    }

    /// Lists a value; whether what it holds is to be listed too.
    fn value(&mut self, step: &Step<'_>) -> bool {
        let &Step { value, path, depth, .. } = step;
        let mut entry = Entry {
            path: path.to_owned(),
            key: step.last().to_owned(),
            depth,
            kind: kind(self.checkpoint, value),
            ..Entry::default()
        };
        let place = match value {
            Value::Object(id) => Some((false, id.index())),
            Value::Tuple(span) if !span.is_empty() => Some((true, span.start())),
            _ => None,
        };
        let mut down = false;
        let is_sequence = length(self.checkpoint, value).is_some();
        match place.and_then(|place| self.objects.get(&place)) {
            Some(first) if is_sequence => entry.same_as = Some(first.clone()),
            _ => {
                if let Some(place) = place.filter(|_| is_sequence) {
                    self.objects.insert(place, path.to_owned());
                }
                down = self.describe(value, &mut entry);
            }
        }
        if down && depth >= self.most {
            entry.folded = true;
        }
        if depth <= self.most {
            self.entries.push(entry);
        }
        down
    }

    /// Fills in what a value is like; whether it holds values that are to be listed.
    fn describe(&mut self, value: Value, entry: &mut Entry) -> bool {
        if let Value::Object(id) = value {
            match self.checkpoint.object(id) {
                Object::Tensor(tensor) => {
                    entry.tensor = Some(self.tensor(tensor, entry));
                    return false;
                }
                Object::Parameter(parameter) => {
                    self.parameter(parameter, entry);
                    return false;
                }
                Object::Sparse(sparse) => {
                    entry.tensor = Some(self.sparse(sparse));
                    return false;
                }
                Object::Array(array) => {
                    entry.tensor = Some(self.array(array, entry));
                    return false;
                }
                Object::Dict(dict) => entry.attributes = self.attributes(dict.state),
                _ => {}
            }
        }
        let Some(items) = length(self.checkpoint, value) else {
            self.totals.plain = self.totals.plain.saturating_add(1);
            entry.value = Some(plain(self.checkpoint, value));
            return false;
        };
        entry.length = Some(items as u64);
        if let Some(text) = plain_sequence(self.checkpoint, value, items) {
            self.totals.plain = self.totals.plain.saturating_add(items as u64);
            entry.value = Some(text);
            return false;
        }
        items > 0
    }

    /// The names of attributes: of a dict, or of a pair of them.
    fn attributes(&self, state: Option<Value>) -> Vec<String> {
        let Some(Value::Object(id)) = state else { return Vec::new() };
        let Object::Dict(dict) = self.checkpoint.object(id) else { return Vec::new() };
        let name = |&(key, _): &(Value, Value)| match key {
            Value::Text(span) => Some(self.checkpoint.text(span).to_owned()),
            _ => None,
        };
        dict.items.iter().filter_map(name).collect()
    }

    fn parameter(&mut self, parameter: &Parameter, entry: &mut Entry) {
        entry.attributes = self.attributes(parameter.state);
        let mut facts = match parameter.data.map(|data| self.checkpoint.object(data)) {
            Some(Object::Tensor(tensor)) => self.tensor(tensor, entry),
            Some(Object::Sparse(sparse)) => self.sparse(sparse),
            _ => Facts::default(),
        };
        facts.requires_grad = parameter.requires_grad;
        entry.tensor = Some(facts);
    }

    fn tensor(&mut self, tensor: &Tensor, entry: &mut Entry) -> Facts {
        let made = self.checkpoint;
        let mut facts = Facts {
            dtype: tensor.dtype().name().to_owned(),
            shape: made.shape(tensor).to_vec(),
            bytes: size(made.shape(tensor), tensor.dtype().size()),
            requires_grad: tensor.requires_grad(),
            conjugate: tensor.is_conj(),
            negative: tensor.is_neg(),
            class: tensor
                .class()
                .map(|class| printable(&format!("{}.{}", class.module, class.name))),
            quantized: made.quantizer(tensor).map(quantized),
            ..Facts::default()
        };
        facts.strides = unusual(&facts.shape, made.strides(tensor));
        match View::of(made, tensor) {
            Some(view) => self.place(&view, &mut facts, entry),
            None => {
                facts.device = Some("meta".to_owned());
                self.count(&facts);
            }
        }
        facts
    }

    fn array(&mut self, array: &Array, entry: &mut Entry) -> Facts {
        let shape = self.checkpoint.dims(array.shape);
        let mut facts = Facts {
            dtype: array.dtype.to_string(),
            shape: shape.to_vec(),
            bytes: size(shape, array.dtype.size.into()),
            ..Facts::default()
        };
        if array.fortran && shape.iter().filter(|&&size| size > 1).count() > 1 {
            let mut strides = vec![0; shape.len()];
            let backwards: Vec<u64> = shape.iter().rev().copied().collect();
            let counted = extent::contiguous(&backwards, &mut strides);
            strides.reverse();
            facts.strides = counted.is_ok().then_some(strides);
        }
        // Bytes stand for elements of whatever type: an array takes all of its storage.
        let bytes = [facts.bytes];
        let view = View {
            dtype: Dtype::Uint8,
            shape: &bytes,
            strides: (&[1][..]).into(),
            storage: array.storage,
            offset: 0,
            conjugate: false,
            negative: false,
            swapped: array.fortran,
            passing: false,
        };
        self.place(&view, &mut facts, entry);
        facts
    }

    fn sparse(&mut self, sparse: &Sparse) -> Facts {
        let made = self.checkpoint;
        let dense = |id: ObjectId| match made.object(id) {
            Object::Tensor(tensor) => Some(tensor),
            _ => None,
        };
        let parts = [Some(sparse.indices), sparse.plain, Some(sparse.values)];
        let parts: Vec<&Tensor> = parts.into_iter().flatten().filter_map(dense).collect();
        let values = dense(sparse.values);
        let part_bytes = |tensor: &&Tensor| size(made.shape(tensor), tensor.dtype().size());
        let facts = Facts {
            dtype: values.map_or("", |values| values.dtype().name()).to_owned(),
            shape: made.dims(sparse.shape).to_vec(),
            bytes: parts.iter().map(part_bytes).fold(0, u64::saturating_add),
            layout: Some(sparse.layout.name()),
            specified: values.and_then(|values| made.shape(values).first().copied()),
            ..Facts::default()
        };
        for view in parts.into_iter().filter_map(|tensor| View::of(made, tensor)) {
            self.storage(Identity::of(made, &view).storage, "");
        }
        self.totals.tensors = self.totals.tensors.saturating_add(1);
        self.totals.elements = self
            .totals
            .elements
            .saturating_add(values.map_or(0, |values| size(made.shape(values), 1)));
        self.totals.bytes = self.totals.bytes.saturating_add(facts.bytes);
        facts
    }

    /// Says where a tensor lies and who else lies there.
    fn place(&mut self, view: &View<'_>, facts: &mut Facts, entry: &mut Entry) {
        let identity = Identity::of(self.checkpoint, view);
        facts.storage = Some(identity.storage.index() as u64);
        facts.storage_offset = identity.start;
        facts.device = self.checkpoint.storage(view.storage).and_then(|storage| {
            let device = self.checkpoint.text(storage.location);
            (device != "cpu").then(|| device.to_owned())
        });
        let first = self.storage(identity.storage, &entry.path);
        let known = facts.bytes > 0;
        match self.tensors.get(&identity).filter(|_| known) {
            Some(same) => {
                entry.same_as = Some(same.clone());
                self.totals.tied = self.totals.tied.saturating_add(1);
            }
            None => {
                facts.shares_storage_with = first.filter(|_| known);
                self.tensors.insert(identity, entry.path.clone());
                self.count(facts);
            }
        }
    }

    /// Counts a storage; the path of the tensor that has it already.
    fn storage(&mut self, id: StorageId, path: &str) -> Option<String> {
        let first = self.storages.get(&id).cloned();
        if first.is_none() {
            self.storages.insert(id, path.to_owned());
            let bytes = self.checkpoint.storage(id).map_or(0, |storage| storage.bytes);
            self.totals.storages = self.totals.storages.saturating_add(1);
            self.totals.storage_bytes = self.totals.storage_bytes.saturating_add(bytes);
        }
        first.filter(|first| !first.is_empty())
    }

    fn count(&mut self, facts: &Facts) {
        self.totals.tensors = self.totals.tensors.saturating_add(1);
        self.totals.elements = self.totals.elements.saturating_add(size(&facts.shape, 1));
        self.totals.bytes = self.totals.bytes.saturating_add(facts.bytes);
    }
}

#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[cfg_attr(
    target_pointer_width = "64",
    expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn size(shape: &[u64], element: u64) -> u64 {
    if shape.contains(&0) {
        0
    } else {
        shape.iter().fold(element, |all, &size| all.saturating_mul(size))
    }
}

/// Strides that are not those of elements that follow each other.
fn unusual(shape: &[u64], strides: &[u64]) -> Option<Vec<u64>> {
    let mut usual = vec![0; shape.len()];
    let counted = extent::contiguous(shape, &mut usual).is_ok();
    let same = |((&size, &stride), &usual): ((&u64, &u64), &u64)| size == 1 || stride == usual;
    let usual = shape.iter().zip(strides).zip(&usual).all(same);
    let follows = shape.contains(&0) || (counted && usual);
    (!follows).then(|| strides.to_vec())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use secure_torch_core::checkpoint::{Builder, Dict, DictKind};

    use super::*;
    use crate::{Policy, Source, scan};

    fn listed(builder: Builder, root: Value, depth: Option<u32>) -> Inspection {
        let policy = Policy::default();
        let source = Source::from_bytes("model.pkl", b"\x80\x02}.".to_vec());
        let report = scan(&source, &policy);
        let made = builder.finish(root, &policy.limits.pickle).unwrap();
        let made = Checkpoint::new(made, vec![Arc::new(source)], policy.limits).unwrap();
        inspect(&made, &report, depth)
    }

    fn object(builder: &mut Builder, object: Object) -> Value {
        Value::Object(builder.object(object).unwrap())
    }

    #[test]
    fn an_object_that_occurs_again_is_named_and_not_repeated() {
        let build = |depth| {
            let mut builder = Builder::new();
            let mut value = object(&mut builder, Object::Set(Vec::new()));
            for _ in 0..28 {
                value = object(&mut builder, Object::List(vec![value, value]));
            }
            listed(builder, value, depth)
        };
        let (all, few) = (build(None), build(Some(1)));
        assert!(all.complete && all.entries.len() < 100);
        assert_eq!(all.entries[0].kind, "list");
        let again = all.entries.iter().filter(|entry| entry.same_as.is_some()).count();
        assert_eq!((again, all.entries.last().unwrap().same_as.as_deref()), (27, Some("0")));
        assert_eq!((few.entries.len(), few.totals), (3, all.totals));
        assert!(few.entries[1].folded && !few.entries[2].folded);
    }

    #[test]
    fn a_long_key_above_many_values_ends_the_list() {
        let mut builder = Builder::new();
        let key = Value::Text(builder.text(&"k".repeat(1 << 20)).unwrap());
        let empty: Vec<Value> =
            (0..200).map(|_| object(&mut builder, Object::List(Vec::new()))).collect();
        let below = object(&mut builder, Object::List(empty));
        let dict = Dict { kind: DictKind::Plain, items: vec![(key, below)], state: None };
        let root = object(&mut builder, Object::Dict(dict));
        let all = listed(builder, root, None);
        assert!(!all.complete && all.entries.len() < 100);
    }
}
