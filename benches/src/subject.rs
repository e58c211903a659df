//! What is measured, on the bytes of a file: one function for each row of the tables.

use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use secure_torch::{LoadOptions, Policy, Report, Source, load_shared, scan};
pub use secure_torch_core::pickle::audit::Outcome;
use secure_torch_core::pickle::audit::{
    Container, Finding, FixedWorkspace, GrowingWorkspace, Import, ImportSeen, Literal, Options,
    PersistentIds, Sink, Value, Workspace, audit,
};
use secure_torch_core::pickle::decode::{Arg, Step, decode};
use secure_torch_core::pickle::opcode::Opcode;
use secure_torch_core::pickle::store::Fixed;
use secure_torch_core::rules::Class;
use serde_json::{Value as Json, json};

/// Decodes every instruction up to `STOP`; how many there are, and a sum of their arguments so
/// that none is optimised away.
#[must_use]
pub fn decode_all(stream: &[u8]) -> (u64, u64) {
    let (mut at, mut count, mut sum) = (0, 0, 0_u64);
    while let Some(rest) = stream.get(at..) {
        let Ok(Step::Instruction(instruction)) = decode(rest, at as u64) else {
            break;
        };
        count += 1;
        sum = sum.wrapping_add(match instruction.arg {
            Arg::None => 1,
            Arg::Int(value) => value.cast_unsigned(),
            Arg::Count(value) => value,
            Arg::Float(value) => value.to_bits(),
            Arg::Line(data) | Arg::Data(data) | Arg::Lines(data, _) => data.len() as u64,
        });
        if instruction.opcode == Opcode::Stop {
            break;
        }
        at += instruction.length;
    }
    (count, sum)
}

/// A sink that only counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// How many imports were seen.
    pub imports: u64,
    /// How many calls.
    pub calls: u64,
    /// How many findings.
    pub findings: u64,
    /// How many literals that may be pickles.
    pub literals: u64,
}

impl Sink for Counter {
    fn import(&mut self, _: &ImportSeen<'_>) {
        self.imports += 1;
    }

    fn call(&mut self, _: u32, _: u64, _: Opcode) {
        self.calls += 1;
    }

    fn finding(&mut self, _: Finding<'_>) {
        self.findings += 1;
    }

    fn literal(&mut self, _: Literal<'_>) {
        self.literals += 1;
    }
}

fn options() -> Options<'static> {
    Options { persistent_ids: PersistentIds::Storages, nested: true, ..Options::default() }
}

/// Audits a pickle in memory that grows from nothing, as a file's first pickle is audited.
#[must_use]
pub fn audit_growing(stream: &[u8]) -> (Outcome, Counter) {
    let options = options();
    let mut workspace = GrowingWorkspace::new(&options.limits);
    let mut counter = Counter::default();
    let outcome = audit(stream, &options, &mut workspace, &mut counter);
    (outcome, counter)
}

/// The arrays behind a workspace that allocates nothing.
#[derive(Debug)]
pub struct Slots {
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    imports: Vec<Import>,
    containers: Vec<Container>,
}

impl Slots {
    /// Arrays that a pickle of `length` bytes cannot fill.
    #[must_use]
    pub fn for_length(length: usize) -> Self {
        let most = length.min(16_777_216);
        Self {
            stack: vec![Value::Missing; 65_536],
            marks: vec![0; 65_536],
            memo: vec![None; most],
            imports: vec![Import { class: Class::Unknown, offset: 0 }; 1_024],
            containers: vec![Container::default(); most],
        }
    }

    fn workspace(&mut self) -> FixedWorkspace<'_> {
        Workspace {
            stack: Fixed::new(&mut self.stack),
            marks: Fixed::new(&mut self.marks),
            memo: Fixed::new(&mut self.memo),
            imports: Fixed::new(&mut self.imports),
            containers: Fixed::new(&mut self.containers),
        }
    }
}

/// Audits a pickle in arrays that are there already.
#[must_use]
pub fn audit_fixed(stream: &[u8], slots: &mut Slots) -> (Outcome, Counter) {
    let mut counter = Counter::default();
    let outcome = audit(stream, &options(), &mut slots.workspace(), &mut counter);
    (outcome, counter)
}

/// Opens, judges and loads a file, and asks for the memory of each storage.
///
/// # Errors
/// Where it cannot be loaded.
pub fn load(path: &Path) -> Result<Json> {
    let source = Arc::new(Source::open(path)?);
    let options = LoadOptions::default();
    let loaded = load_shared(&source, &Policy::default(), &options);
    let (made, report) = loaded.map_err(|failed| failed.error)?;
    let mut mapped = 0_u64;
    for id in made.storages().iter().enumerate().filter_map(|(at, _)| made.storage_id(at)) {
        mapped += u64::from(made.memory(id)?.is_mapped());
    }
    Ok(json!({
        "objects": made.objects().len(),
        "storages": made.storages().len(),
        "mapped": mapped,
        "bytes_examined": report.bytes_examined,
    }))
}

/// Judges a source under the default policy.
#[must_use]
pub fn judge(source: &Source) -> Report {
    scan(source, &Policy::default())
}
