//! The first walk: every byte of the encoding against the schema, whatever it means.
//!
//! Protobuf skips a field that it does not know, keeps the last of a number that stands twice,
//! and merges a message that does. All three let two readers, or two versions of one schema, see
//! different models in the same bytes, and no writer of ONNX does any of them; so each is said.

use crate::format::code_text::code_like;
use crate::format::event::Sink;
use crate::format::protobuf::{Field, Message, Value, int32};
use crate::limits::{FORMAT_MESSAGE_DEPTH, Limits};

use super::Violation;
use super::schema::{Kind, Rule, Schema, Times};

/// Walks a message and everything in it; whether it came to the end of it.
pub(super) fn check(
    message: Message<'_>,
    schema: &Schema,
    limits: &Limits,
    sink: Sink<'_>,
) -> bool {
    let mut walk = Walk { left: limits.format.objects, whole: true, sink };
    walk.message(message, schema, 0);
    walk.whole
}

struct Walk<'s> {
    /// How many more messages are walked, and violations are said.
    left: u32,
    whole: bool,
    sink: Sink<'s>,
}

impl Walk<'_> {
    /// Takes one from what is left; whether there was one.
    fn spend(&mut self, offset: u64, schema: &Schema) -> bool {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
        } else if self.whole {
            self.whole = false;
            (self.sink)(Violation::TooManyMessages.at(offset, schema.name.as_bytes()));
        }
        self.whole
    }

    fn say(&mut self, violation: Violation, offset: u64, schema: &Schema) {
        if self.spend(offset, schema) {
            (self.sink)(violation.at(offset, schema.name.as_bytes()));
        }
    }

    fn message(&mut self, message: Message<'_>, schema: &Schema, depth: u32) {
        let mut seen = 0_u64;
        let mut chosen = false;
        for field in message {
            if !self.whole {
                return;
            }
            let field = match field {
                Ok(field) => field,
                Err(error) => {
                    return self.say(Violation::of_wire(error.kind), error.offset, schema);
                }
            };
            let Some((place, rule)) = schema.rule(field.number) else {
                self.say(Violation::FieldUnknown, field.offset, schema);
                continue;
            };
            let bit = u32::try_from(place).ok().and_then(|place| 1_u64.checked_shl(place));
            let bit = bit.unwrap_or(0);
            if rule.times != Times::Many && seen & bit != 0 {
                self.say(Violation::FieldAgain, field.offset, schema);
            }
            seen |= bit;
            if rule.times == Times::OneOf {
                if chosen {
                    self.say(Violation::FieldAgain, field.offset, schema);
                }
                chosen = true;
            }
            self.field(field, rule, schema, depth);
        }
    }

    fn field(&mut self, field: Field<'_>, rule: &Rule, schema: &Schema, depth: u32) {
        match (rule.kind, field.value) {
            (Kind::Int64 | Kind::Uint64, Value::Varint(_))
            | (Kind::Float, Value::Fixed32(_))
            | (Kind::Double, Value::Fixed64(_))
            | (Kind::Bytes, Value::Bytes(_)) => {}
            (Kind::Int32, Value::Varint(number)) => {
                if int32(number).is_none() {
                    self.say(Violation::NumberTooWide, field.offset, schema);
                }
            }
            (Kind::Text, Value::Bytes(text)) => self.text(text, schema),
            (Kind::Prose, Value::Bytes(text)) => {
                self.text(text, schema);
                if let Some(at) = code_like(text.bytes) {
                    let offset = text.offset.saturating_add(u64::try_from(at).unwrap_or(0));
                    self.say(Violation::TextCode, offset, schema);
                }
            }
            (Kind::Message(inner), Value::Bytes(message)) => {
                let depth = depth.saturating_add(1);
                if depth > FORMAT_MESSAGE_DEPTH {
                    return self.say(Violation::Depth, field.offset, schema);
                }
                if self.spend(field.offset, schema) {
                    self.message(message, inner, depth);
                }
            }
            (kind, Value::Bytes(packed)) if rule.times == Times::Many => {
                self.packed(packed, kind, schema);
            }
            _ => self.say(Violation::WireTypeOther, field.offset, schema),
        }
    }

    fn text(&mut self, text: Message<'_>, schema: &Schema) {
        if let Err(error) = text.text() {
            self.say(Violation::of_wire(error.kind), error.offset, schema);
        }
    }

    /// Numbers one behind another, behind one length: readers take both ways of writing them.
    fn packed(&mut self, packed: Message<'_>, kind: Kind, schema: &Schema) {
        let error = match kind {
            Kind::Float => packed.words(4).err(),
            Kind::Double => packed.words(8).err(),
            _ => packed.varints().find_map(Result::err),
        };
        if let Some(error) = error {
            self.say(Violation::of_wire(error.kind), error.offset, schema);
        }
    }
}
