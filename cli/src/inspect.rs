//! `inspect`: what a file holds, as a tree.
//!
//! The list is the gateway's (`secure_torch::inspect`); this module only prints it.

use std::io::{self, Write};

use secure_torch::inspect::{Entry, Facts, Inspection, Totals};
use secure_torch::text::printable;
use secure_torch::{LoadError, LoadOptions, Policy, Report, inspect, load};

use crate::args::{Format, InspectArgs, When};
use crate::convert::{blocked, failed};
use crate::errors::Problem;
use crate::output::{DIM, NAME, Page, closed_is_fine, count, size};
use crate::{file, json, policy, summary};

/// How far the names of siblings push what they are to the right.
const WIDEST: usize = 48;

/// Runs the command.
pub(crate) fn run(args: &InspectArgs, color: When) -> u8 {
    let path = (args.file.as_os_str() != "-").then_some(args.file.as_path());
    let policy = match policy::of(&args.policy, path) {
        Ok(policy) => policy,
        Err(error) => return failed(&error.into()),
    };
    let (inspection, report) = match inspected(args, &policy) {
        Ok(done) => done,
        Err(LoadError { report: Some(report), .. })
            if !report.load_allowed() && !args.audit_only =>
        {
            return blocked(&report, &policy, color);
        }
        Err(LoadError { error, report }) => {
            let code = failed(&error.into());
            // A block wins over an error, as it does in `scan`.
            return if report.is_some_and(|report| !report.load_allowed()) { 1 } else { code };
        }
    };
    let mut page = Page::stdout(color);
    let printed = match args.format {
        Format::Json => json::print(&inspection, &mut page),
        Format::Text => text(&inspection, &report, &mut page),
    };
    if let Err(error) = closed_is_fine(printed.and_then(|()| page.flush())) {
        return failed(&Problem::output(&error));
    }
    u8::from(!report.load_allowed())
}

fn inspected(args: &InspectArgs, policy: &Policy) -> Result<(Inspection, Report), LoadError> {
    let fail = |error| LoadError { error, report: None };
    let source = file::open(&args.file, policy).map_err(fail)?;
    let options = LoadOptions { audit_only: args.audit_only, ..LoadOptions::default() };
    let (checkpoint, report) = load(source, policy, &options)?;
    Ok((inspect(&checkpoint, &report, args.depth), report))
}

fn text<W: Write>(inspection: &Inspection, report: &Report, page: &mut Page<W>) -> io::Result<()> {
    summary::line(report, page)?;
    page.blank()?;
    let widths = widths(&inspection.entries);
    for (entry, width) in inspection.entries.iter().zip(widths) {
        line(entry, width, page)?;
    }
    if !inspection.complete {
        page.line("… the paths of what follows take too much room")?;
    }
    if !inspection.metadata.is_empty() {
        page.heading("Metadata")?;
        for (key, value) in &inspection.metadata {
            page.item(4, &format!("{}: ", printable(key)), &printable(value))?;
        }
    }
    page.blank()?;
    page.line(totals(&inspection.totals))
}

/// The width of each entry's name: that of the longest among its siblings.
fn widths(entries: &[Entry]) -> Vec<usize> {
    let mut group_of = Vec::with_capacity(entries.len());
    let mut widest: Vec<usize> = Vec::new();
    // The group of siblings that is under way at each depth.
    let mut open: Vec<usize> = Vec::new();
    for entry in entries {
        let depth = usize::try_from(entry.depth).unwrap_or(usize::MAX);
        open.truncate(depth.saturating_add(1));
        if open.len() <= depth {
            open.push(widest.len());
            widest.push(0);
        }
        let group = open.last().copied().unwrap_or(0);
        let width = printable(&entry.key).chars().count().min(WIDEST);
        if let Some(widest) = widest.get_mut(group) {
            *widest = (*widest).max(width);
        }
        group_of.push(group);
    }
    group_of.into_iter().map(|group| widest.get(group).copied().unwrap_or(0)).collect()
}

fn line<W: Write>(entry: &Entry, width: usize, page: &mut Page<W>) -> io::Result<()> {
    let indent = usize::try_from(entry.depth).unwrap_or(0).saturating_mul(2);
    let about = about(entry);
    let mut line = format!("{:indent$}", "");
    if entry.depth > 0 {
        let key = printable(&entry.key);
        let pad = width.saturating_sub(key.chars().count());
        line.push_str(&page.paint(NAME, key));
        line.push_str(&format!("{:pad$}  ", ""));
    }
    line.push_str(&about);
    if let Some(same) = &entry.same_as {
        line.push_str(&format!("  = {}", path(same)));
    }
    let notes = notes(entry);
    if !notes.is_empty() {
        line.push_str("  ");
        line.push_str(&page.paint(DIM, notes.join(", ")));
    }
    page.line(line)
}

/// What it is, in short.
fn about(entry: &Entry) -> String {
    if let Some(facts) = &entry.tensor {
        let shape: Vec<String> = facts.shape.iter().map(u64::to_string).collect();
        let kind = if entry.kind == "tensor" { String::new() } else { format!("{} ", entry.kind) };
        return format!("{kind}{} [{}]  {}", facts.dtype, shape.join(", "), size(facts.bytes));
    }
    let more = if entry.folded { " …" } else { "" };
    match (&entry.value, entry.length) {
        (Some(value), None) => match entry.kind.as_str() {
            "None" | "bool" | "int" | "float" | "str" | "torch.Size" | "torch.dtype"
            | "torch.device" | "range" | "slice" => value.clone(),
            kind => format!("{kind} {value}"),
        },
        (Some(value), Some(length)) if length > 8 => {
            format!("{value}  {}", count(length, "item", "items"))
        }
        (Some(value), Some(_)) => value.clone(),
        (None, Some(length)) => {
            format!("{}, {}{more}", entry.kind, count(length, "item", "items"))
        }
        (None, None) => entry.kind.clone(),
    }
}

/// What is not as usual.
fn notes(entry: &Entry) -> Vec<String> {
    let mut notes = Vec::new();
    if !entry.attributes.is_empty() {
        let names: Vec<String> =
            entry.attributes.iter().take(4).map(|name| printable(name)).collect();
        let more = if entry.attributes.len() > names.len() { ", …" } else { "" };
        notes.push(format!("with {}{more}", names.join(", ")));
    }
    let Some(facts) = &entry.tensor else { return notes };
    let Facts { strides, shares_storage_with, storage_offset, .. } = facts;
    if let Some(strides) = strides {
        let strides: Vec<String> = strides.iter().map(u64::to_string).collect();
        notes.push(format!("strides [{}]", strides.join(", ")));
    }
    if let Some(other) = shares_storage_with {
        notes.push(format!("at byte {storage_offset} of the storage of {}", path(other)));
    }
    if let Some(device) = &facts.device {
        notes.push(format!("on {}", printable(device)));
    }
    if let Some(class) = &facts.class {
        notes.push(format!("class {class}"));
    }
    if let Some(layout) = facts.layout {
        let specified = facts.specified.unwrap_or(0);
        notes.push(format!("{layout}, {}", count(specified, "value", "values")));
    }
    if let Some(quantized) = &facts.quantized {
        notes.push(format!("quantised {quantized}"));
    }
    if facts.conjugate {
        notes.push("conjugate".to_owned());
    }
    if facts.negative {
        notes.push("negative".to_owned());
    }
    if facts.requires_grad && entry.kind == "tensor" {
        notes.push("requires grad".to_owned());
    }
    notes
}

fn path(path: &str) -> String {
    if path.is_empty() { "the root".to_owned() } else { printable(path) }
}

fn totals(totals: &Totals) -> String {
    let mut text = format!(
        "{}, {}, {}",
        count(totals.tensors, "tensor", "tensors"),
        count(totals.elements, "element", "elements"),
        size(totals.bytes),
    );
    let storages = count(totals.storages, "storage", "storages");
    text.push_str(&format!(" in {storages} of {}", size(totals.storage_bytes)));
    if totals.tied > 0 {
        text.push_str(&format!("; {}", count(totals.tied, "more name", "more names")));
    }
    if totals.plain > 0 {
        text.push_str(&format!("; {}", count(totals.plain, "plain value", "plain values")));
    }
    text
}
