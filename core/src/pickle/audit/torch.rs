//! What a stream asks of PyTorch's loader: storages by persistent id, and files in byte strings.

use super::PersistentIds;
use super::domain::AuditDomain;
use super::sink::{Detail, Literal, Sink, StorageSeen};
use super::value::{Container, Import, Item, NO_PRODUCT, Tuple, Value};
use crate::format::torch_tar::element_size;
use crate::pickle::decode::Instruction;
use crate::pickle::kind::{Kind, KindSet};
use crate::pickle::machine::Arguments;
use crate::pickle::store::Store;
use crate::pickle::text::Encoding;
use crate::rules::Class;
use crate::score::Rule;

/// A literal of `u32::MAX` bytes may be longer than that.
const LONGEST: u32 = u32::MAX - 1;

impl<S, I, C> AuditDomain<'_, '_, S, I, C>
where
    S: Sink,
    I: Store<Import>,
    C: Store<Container>,
{
    /// What a persistent id stands for, if it is one that the file's own loader understands
    /// (`persistent_load` in `torch/serialization.py`).
    pub(super) fn usual_id(&mut self, at: &Instruction<'_>, id: Option<Value>) -> Option<Value> {
        const CLASS: KindSet = KindSet(Kind::Class.set().0 | Kind::Unknown.set().0);
        const MODULE: [KindSet; 4] = [Kind::Text.set(), CLASS, Kind::Text.set(), Kind::Text.set()];
        const STORAGE: [Kind; 5] = [Kind::Text, Kind::Class, Kind::Text, Kind::Text, Kind::Int];
        const NUMBERED: [Kind; 5] = [Kind::Text, Kind::Class, Kind::Int, Kind::Text, Kind::Int];
        let ids = self.options.persistent_ids;
        match (ids, id) {
            (PersistentIds::None, _) => None,
            (PersistentIds::Tensors, None | Some(Value::Int(_) | Value::Text { .. }))
            | (PersistentIds::Tensors, Some(Value::Ints { arity: 1, .. })) => {
                Some(Value::Plain(Kind::Tensor))
            }
            (_, Some(Value::Tuple(tuple)))
                if matches!(tuple.arity, 5 | 6) && tuple.kinds.starts_with(&STORAGE) =>
            {
                Some(Value::Storage { elements: self.tell_storage(at, tuple) })
            }
            (PersistentIds::Package, Some(Value::Tuple(tuple)))
                if tuple.arity == 5 && tuple.kinds.starts_with(&NUMBERED) =>
            {
                Some(Value::Storage { elements: self.tell_storage(at, tuple) })
            }
            (PersistentIds::LegacyStorages, Some(Value::Tuple(tuple)))
                if tuple.arity == 4
                    && MODULE.iter().zip(&tuple.kinds).all(|(set, &kind)| set.contains(kind)) =>
            {
                // The class of a whole module, which its own GLOBAL has named.
                Some(Value::Plain(Kind::Unknown))
            }
            _ => None,
        }
    }

    /// Keeps what stands in a tuple that a call or a persistent id right behind it may take, and
    /// gives the tuple a serial number, by which it is known from others that look the same.
    pub(super) fn note_arguments(&mut self, tuple: Value, items: &[Value]) -> Value {
        (self.last_bytes, self.last_text) = (None, None);
        let Value::Tuple(mut stamped) = tuple else { return tuple };
        let wanted = match *items {
            [Value::Bytes { .. }] | [_, _, _, _, Value::Int(_), ..] => true,
            [Value::Text { encoding: Encoding::Utf8, .. }, codec] => {
                self.kind(codec) == Kind::Latin1
            }
            _ => false,
        };
        if !wanted {
            return tuple;
        }
        self.stamps = self.stamps.saturating_add(1);
        stamped.item = Item::of_bytes(self.stamps);
        if stamped.item == Item::UNKNOWN {
            // Out of numbers: the tuple is known from no other, and what takes it is unresolved.
            return Value::Tuple(stamped);
        }
        match *items {
            [bytes @ Value::Bytes { .. }] => self.last_bytes = Some((stamped, bytes)),
            [Value::Text { length, offset, .. }, _] => {
                self.last_text = Some((stamped, Value::Bytes { latin1: true, length, offset }));
            }
            [_, class, key, _, size, ..] => self.last_id = Some((stamped, [class, key, size])),
            _ => {}
        }
        Value::Tuple(stamped)
    }

    /// The bytes that `_codecs.encode` makes of the text in its arguments, if they stand there.
    pub(super) fn encoded(&mut self, arguments: Arguments<'_, Value>) -> Option<Value> {
        match (arguments, self.last_text.take()) {
            (Arguments::Tuple(Value::Tuple(tuple)), Some((last, bytes))) if last == tuple => {
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Tells of a storage; how many elements it holds.
    fn tell_storage(&mut self, at: &Instruction<'_>, tuple: Tuple) -> u64 {
        let last = self.last_id.take().filter(|(last, _)| *last == tuple);
        if last.is_none() && tuple.item != Item::UNKNOWN {
            let why = Detail::Text("a storage is asked for by an id that stands elsewhere");
            self.find(Rule::PickleCallShape, at.offset, why);
        }
        let mut buffer = [0; 64];
        let known = last.and_then(|(_, [class, key, size])| {
            let Value::Import(import) = class else { return None };
            let Some(Class::Allowed(entry)) = self.entry(import) else { return None };
            let Value::Int(size) = size else { return None };
            let key = self.name(key, &mut buffer)?;
            Some((key, element_size(entry.name)?, u64::try_from(size).ok()?))
        });
        self.sink.storage(StorageSeen { known });
        // An untyped storage counts bytes: a bound too, since no element takes less than one.
        known.map_or(NO_PRODUCT, |(_, _, elements)| elements)
    }

    /// `torch.storage._load_from_bytes` loads a PyTorch file from a byte string, which must stand
    /// in the stream right before the call: nobody can judge one that is computed.
    pub(super) fn load_from_bytes(
        &mut self,
        at: &Instruction<'_>,
        arguments: Arguments<'_, Value>,
    ) {
        let place = match (arguments, self.last_bytes.take()) {
            (Arguments::Tuple(Value::Tuple(tuple)), Some((last, bytes))) if last == tuple => bytes,
            _ => Value::Missing,
        };
        let Value::Bytes { latin1, length: length @ 0..=LONGEST, offset } = place else {
            self.find(Rule::PickleGlobalUnresolvable, at.offset, Detail::Loads);
            return;
        };
        let data = self.text_bytes(offset, usize::try_from(length).unwrap_or(usize::MAX));
        self.sink.literal(Literal { offset, data, latin1, loaded: true });
    }
}
