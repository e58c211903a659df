//! What can be told of values: kind, text, size, and whether they fit a shape.

use super::domain::AuditDomain;
use super::sink::{Detail, Sink};
use super::value::{Container, Import, Item, KINDS, NO_IMPORT, NO_PRODUCT, Tuple, Value, Weight};
use crate::pickle::decode::Instruction;
use crate::pickle::kind::{Kind, Shape};
use crate::pickle::machine::Arguments;
use crate::pickle::store::Store;
use crate::pickle::text::{Encoding, decode_name};
use crate::rules::Class;
use crate::score::Rule;

impl<'a, S, I, C> AuditDomain<'a, '_, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    /// What kind of value the stack holds here.
    pub(super) fn kind(&self, value: Value) -> Kind {
        match value {
            Value::Plain(kind) | Value::Container { kind, .. } | Value::Instance { kind, .. } => {
                kind
            }
            Value::Text { length: 6 | 7, offset, .. } => {
                let text = self.text_bytes(offset, 7);
                if text.starts_with(b"latin1") || text.starts_with(b"latin-1") {
                    return self.latin1_or_text(value);
                }
                Kind::Text
            }
            Value::Text { .. } => Kind::Text,
            Value::Tuple(_) | Value::Ints { .. } => Kind::Tuple,
            Value::Missing => Kind::Unknown,
            Value::Int(_) => Kind::Int,
            Value::Bytes { .. } => Kind::Bytes,
            Value::Storage { .. } => Kind::Storage,
            Value::Import(import) => match self.entry(import) {
                Some(Class::Allowed(entry)) => entry.kind,
                _ => Kind::Unknown,
            },
        }
    }

    pub(super) fn latin1_or_text(&self, value: Value) -> Kind {
        let mut buffer = [0; 8];
        match self.name(value, &mut buffer) {
            Some("latin1" | "latin-1") => Kind::Latin1,
            _ => Kind::Text,
        }
    }

    pub(super) fn text_bytes(&self, offset: u64, length: usize) -> &'a [u8] {
        let rest = usize::try_from(offset).ok().and_then(|start| self.stream.get(start..));
        let rest = rest.unwrap_or_default();
        rest.get(..length.min(rest.len())).unwrap_or_default()
    }

    /// The text of a string literal, if every reader sees the same.
    pub(super) fn name<'b>(&self, value: Value, buffer: &'b mut [u8]) -> Option<&'b str>
    where
        'a: 'b,
    {
        let Value::Text { encoding, length, offset } = value else {
            return None;
        };
        let length = usize::try_from(length).ok()?;
        if length > buffer.len() && encoding == Encoding::Utf8 {
            return None;
        }
        // An escape takes at most ten bytes for one character.
        if length > buffer.len().checked_mul(10)? {
            return None;
        }
        decode_name(self.text_bytes(offset, length), encoding, buffer)
    }

    pub(super) fn depth(&self, value: Value) -> u8 {
        match value {
            Value::Tuple(tuple) => tuple.depth,
            Value::Ints { .. } => 1,
            Value::Container { id, .. } => self.container(id).map_or(1, |row| row.depth),
            Value::Instance { depth, .. } => depth,
            _ => 0,
        }
    }

    pub(super) fn weight(&self, value: Value) -> f32 {
        match value {
            Value::Tuple(tuple) => tuple.weight.get(),
            Value::Ints { arity, .. } => f32::from(arity).max(1.0),
            Value::Container { id, .. } => self.container(id).map_or(1.0, |row| row.weight),
            Value::Instance { weight, .. } => weight.get(),
            _ => 1.0,
        }
    }

    pub(super) fn container(&self, id: u32) -> Option<Container> {
        self.containers.get(usize::try_from(id).ok()?)
    }

    /// The weight and depth of a value made of `items`, checked against the limits.
    pub(super) fn measure(&mut self, at: &Instruction<'_>, items: &[Value]) -> (f32, u8) {
        let (weight, depth) = self.hold(items);
        let (weight, depth) = (weight + 1.0, depth.saturating_add(1));
        self.check_size(at, weight, depth);
        (weight, depth)
    }

    /// How many leaves the items hold together and how deep the deepest nests. From here on they
    /// are held, and are not expected to grow.
    #[expect(clippy::cast_precision_loss, reason = "a count of leaves, give or take")]
    pub(super) fn hold(&mut self, items: &[Value]) -> (f32, u8) {
        // Leaves are counted apart: a float addition for each would be a chain of them.
        let (mut leaves, mut weight, mut depth) = (0_usize, 0.0_f32, 0_u8);
        for &item in items {
            match item {
                Value::Plain(_)
                | Value::Missing
                | Value::Text { .. }
                | Value::Bytes { .. }
                | Value::Int(_)
                | Value::Storage { .. }
                | Value::Import(_) => leaves = leaves.saturating_add(1),
                Value::Container { id, .. } => {
                    let row = usize::try_from(id)
                        .ok()
                        .and_then(|id| self.containers.items_mut().get_mut(id));
                    if let Some(row) = row {
                        row.held = true;
                        weight += row.weight;
                        depth = depth.max(row.depth);
                    }
                }
                item => {
                    weight += self.weight(item);
                    depth = depth.max(self.depth(item));
                }
            }
        }
        (weight + leaves as f32, depth)
    }

    pub(super) fn check_size(&mut self, at: &Instruction<'_>, weight: f32, depth: u8) {
        if u32::from(depth) > self.options.limits.container_depth {
            let why = "containers nest deeper than the limit";
            self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
        }
        if weight > expansion(self.options.limits.expansion) {
            let why = "a value expands past the limit when its shared parts are counted";
            self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
        }
    }

    pub(super) fn new_container(
        &mut self,
        at: &Instruction<'_>,
        kind: Kind,
        import: u32,
        (weight, depth): (f32, u8),
    ) -> Value {
        let id = u32::try_from(self.containers.len()).unwrap_or(u32::MAX);
        if self.containers.push(Container { weight, depth, ..Container::default() }).is_err() {
            self.halted = true;
            let why = "more lists, dicts and sets than the limit; the rest could not be judged";
            self.find(Rule::PickleLimit, at.offset, Detail::Text(why));
        }
        Value::Container { kind, id, import }
    }

    pub(super) fn tuple(&mut self, at: &Instruction<'_>, items: &[Value]) -> Value {
        let arity = u8::try_from(items.len()).unwrap_or(u8::MAX);
        let ints = items.iter().all(|item| matches!(item, Value::Int(0..)));
        if ints && !items.is_empty() {
            let product = items.iter().fold(1_u64, |product, &item| match item {
                Value::Int(value) => {
                    product.saturating_mul(u64::try_from(value).unwrap_or(NO_PRODUCT))
                }
                _ => NO_PRODUCT,
            });
            return Value::Ints { arity, product };
        }
        let (weight, depth) = self.measure(at, items);
        let mut kinds = [Kind::Unknown; KINDS];
        for (slot, &item) in kinds.iter_mut().zip(items) {
            *slot = self.kind(item);
        }
        self.check_wrapper_class(at, items);
        let item =
            if matches!(items.len(), 2 | 3 | 8 | 9) { self.item_of(items) } else { Item::UNKNOWN };
        Value::Tuple(Tuple { depth, arity, weight: Weight::of(weight), item, kinds })
    }

    /// Whether the arguments have a shape that the allowlist knows. What comes from an unknown
    /// import fits anywhere: it has been reported where it was imported.
    pub(super) fn fits(&self, shape: Shape, arguments: Arguments<'_, Value>) -> bool {
        let fits_one = |index: usize, kind: Kind| {
            kind == Kind::Unknown
                || shape
                    .args
                    .get(index)
                    .copied()
                    .or(shape.rest)
                    .is_some_and(|set| set.contains(kind))
        };
        let count_fits = |count: usize| {
            count >= usize::from(shape.required)
                && (shape.rest.is_some() || count <= shape.args.len())
        };
        match arguments {
            Arguments::Items(items) => {
                count_fits(items.len())
                    && items.iter().enumerate().all(|(at, &item)| fits_one(at, self.kind(item)))
            }
            Arguments::Keywords(..) => false,
            Arguments::Tuple(Value::Tuple(tuple)) => {
                let count = usize::from(tuple.arity);
                count_fits(count)
                    && (0..count).all(|at| {
                        fits_one(at, tuple.kinds.get(at).copied().unwrap_or(Kind::Unknown))
                    })
            }
            Arguments::Tuple(Value::Ints { arity, .. }) => {
                let count = usize::from(arity);
                count_fits(count) && (0..count).all(|at| fits_one(at, Kind::Int))
            }
            Arguments::Tuple(_) => false,
        }
    }

    /// Whether an argument comes from an import that nobody has judged.
    pub(super) fn passes_unknown(&self, arguments: Arguments<'_, Value>) -> bool {
        match arguments {
            Arguments::Tuple(Value::Tuple(tuple)) | Arguments::Keywords(Value::Tuple(tuple), _) => {
                let known = usize::from(tuple.arity).min(KINDS);
                tuple.kinds.iter().take(known).any(|&kind| kind == Kind::Unknown)
            }
            Arguments::Items(items) => items.iter().any(|&item| self.kind(item) == Kind::Unknown),
            _ => false,
        }
    }
}

/// Whether a value is sure to be no `str`, whatever the loader does. What comes from an import,
/// a call, a persistent id or the registry may be one.
pub(super) const fn is_never_text(value: Value) -> bool {
    match value {
        Value::Plain(kind) => {
            matches!(kind, Kind::None | Kind::Bool | Kind::Int | Kind::Float | Kind::Bytes)
        }
        Value::Int(_)
        | Value::Ints { .. }
        | Value::Tuple(_)
        | Value::Bytes { latin1: false, .. } => true,
        Value::Container { import, .. } => import == NO_IMPORT,
        _ => false,
    }
}

/// The limit of leaves as the float that weights are counted in.
#[expect(clippy::cast_precision_loss, reason = "a limit of a thousand million, give or take")]
const fn expansion(limit: u64) -> f32 {
    limit as f32
}
