//! `rules`: everything that judges, with its numbers and its reasons.

use std::io::{self, Write};

use secure_torch::GlobalName;
use secure_torch::core::limits::Limits;
use secure_torch::core::pickle::kind::{Kind, KindSet, Shape};
use secure_torch::core::rules::{AllowedGlobal, Class, families, judge};
use secure_torch::core::score::{Level, Rule};

use crate::args::{Format, RulesArgs, RulesCommand, When};
use crate::errors::Problem;
use crate::output::{BAD, BOLD, GOOD, NAME, Page, WARN, closed_is_fine};
use crate::{json, rules_text};

/// Runs the command.
pub(crate) fn run(args: &RulesArgs, color: When) -> u8 {
    let mut page = Page::stdout(color);
    let mut code = 0;
    let printed = match (&args.only, args.format) {
        (Some(RulesCommand::Explain { names }), _) => names.iter().try_for_each(|name| {
            if !explain(name, &mut page)? {
                unexplained(name).tell();
                code = 2;
            }
            Ok(())
        }),
        (None, Format::Json) => json::print(&secure_torch::rules::document(), &mut page),
        (None, Format::Text) => rules_text::print(&mut page),
    };
    if let Err(error) = closed_is_fine(printed.and_then(|()| page.flush())) {
        Problem::output(&error).tell();
        return 2;
    }
    code
}

fn unexplained(name: &str) -> Problem {
    let name = secure_torch::text::printable(name);
    Problem::usage(
        "".as_ref(),
        format!("`{name}` is no rule, no family, no limit and no global"),
        "a global is MODULE.NAME or MODULE:NAME; `secure-torch rules` lists the rest",
    )
}

/// Explains a name; whether it could.
fn explain<W: Write>(name: &str, page: &mut Page<W>) -> io::Result<bool> {
    if let Some(rule) = Rule::from_id(name) {
        return explain_rule(rule, page).map(|()| true);
    }
    if let Some(family) = families().iter().find(|family| family.id == name) {
        let title = page.paint(BOLD, family.title);
        let id = page.paint(NAME, family.id);
        page.line(format_args!("{title}  [{id}], a family of dangerous globals"))?;
        page.paragraph(2, family.reason)?;
        return page.blank().map(|()| true);
    }
    if let Some((_, limit, reason)) = Limits::TABLE.iter().find(|(known, _, _)| *known == name) {
        let name = page.paint(NAME, name);
        page.line(format_args!("{name}  a limit: {limit}"))?;
        page.paragraph(2, reason)?;
        return page.blank().map(|()| true);
    }
    match name.parse::<GlobalName>() {
        Ok(global) => explain_global(&global, page).map(|()| true),
        Err(_) => Ok(false),
    }
}

fn explain_rule<W: Write>(rule: Rule, page: &mut Page<W>) -> io::Result<()> {
    let name = page.paint(NAME, rule.id());
    let level = Level::of(rule.points());
    page.line(format_args!("{name}  +{}, {} by itself", rule.points(), level.name()))?;
    page.paragraph(2, rule.reason())?;
    page.paragraph(2, &format!("See: {}", rule.reference()))?;
    if rule == Rule::PickleGlobalDangerous {
        page.paragraph(2, "The families, each with its reason:")?;
        for family in families() {
            page.item(4, &format!("{}: ", family.id), family.reason)?;
        }
    }
    page.blank()
}

fn explain_global<W: Write>(global: &GlobalName, page: &mut Page<W>) -> io::Result<()> {
    let (module, name) = (global.module.as_str(), global.name.as_str());
    let modern = judge(module, name, false);
    let old = judge(module, name, true);
    let shown = secure_torch::text::printable(&format!("{module}.{name}"));
    let title = page.paint(BOLD, shown);
    let class = class(&modern.class, page);
    page.line(format_args!("{title}  {class}"))?;
    verdict(&modern.class, page)?;
    if modern.dotted {
        page.paragraph(
            2,
            &format!("{}: {}", Rule::PickleGlobalDotted.id(), Rule::PickleGlobalDotted.reason()),
        )?;
    }
    if modern.python3 != (module, name) {
        let python3 = format!("{}.{}", modern.python3.0, modern.python3.1);
        let python3 = secure_torch::text::printable(&python3);
        page.paragraph(2, &format!("Protocols under 3 import it as {python3}."))?;
        if modern.class != old.class {
            let class = self::class(&old.class, page);
            page.line(format_args!("  There it is {class}:"))?;
            verdict(&old.class, page)?;
        }
    }
    page.blank()
}

fn class<W: Write>(class: &Class, page: &Page<W>) -> String {
    match class {
        Class::Allowed(_) => page.paint(GOOD, "allowed"),
        Class::Dangerous(family) => page.paint(BAD, format!("dangerous [{}]", family.id)),
        Class::Unknown => page.paint(WARN, "unknown"),
    }
}

fn verdict<W: Write>(class: &Class, page: &mut Page<W>) -> io::Result<()> {
    match class {
        Class::Allowed(entry) => {
            page.paragraph(2, entry.why)?;
            page.paragraph(2, &calls(entry))?;
            page.paragraph(2, &format!("See: {}", entry.source))
        }
        Class::Dangerous(family) => {
            page.paragraph(2, &points(Rule::PickleGlobalDangerous))?;
            page.paragraph(2, &format!("{}: {}", family.title, family.reason))
        }
        Class::Unknown => {
            page.paragraph(2, &points(Rule::PickleGlobalUnknown))?;
            page.paragraph(2, "If you trust it: `secure-torch scan --allow MODULE.NAME …`.")
        }
    }
}

fn points(rule: Rule) -> String {
    format!("{} +{}: {}", rule.id(), rule.points(), rule.reason())
}

/// How an allowed global may be used.
pub(crate) fn calls(entry: &AllowedGlobal) -> String {
    let call = match entry.call {
        None => "It is never called".to_owned(),
        Some(shape) => format!("It may be called with {}", arguments(shape)),
    };
    let build = match entry.build {
        None => "takes no state".to_owned(),
        Some(kinds) => format!("takes a state of {}", kind_names(kinds)),
    };
    format!("{call}, and {build}.")
}

fn arguments(shape: Shape) -> String {
    let mut arguments: Vec<String> = Vec::new();
    for (index, kinds) in shape.args.iter().enumerate() {
        let optional = if index >= usize::from(shape.required) { "?" } else { "" };
        arguments.push(format!("{}{optional}", kind_names(*kinds)));
    }
    if let Some(rest) = shape.rest {
        arguments.push(format!("{}*", kind_names(rest)));
    }
    format!("({})", arguments.join(", "))
}

/// The names of the kinds in a set: `int|none`, or `any`.
pub(crate) fn kind_names(kinds: KindSet) -> String {
    let names: Vec<&str> = Kind::NAMES
        .iter()
        .filter(|(kind, _)| kinds.0 & kind.set().0 != 0)
        .map(|(_, n)| *n)
        .collect();
    if names.len() == Kind::NAMES.len() { "any".to_owned() } else { names.join("|") }
}
