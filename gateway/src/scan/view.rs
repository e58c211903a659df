//! How an archive's own loader sees its members: what each is for, and what it may name.

use secure_torch_core::format::detect::Format;
use secure_torch_core::format::torch_zip::{Layout, Role, layout};
use secure_torch_core::format::zip::{Archive, Entry};
use secure_torch_core::format::{python, torch_export, torchscript, zip_kind};
use secure_torch_core::pickle::audit::PersistentIds;
use secure_torch_core::score::Rule;

use super::{Context, Judge, Script, member_path};
use crate::text::printable_bytes;

/// What is known of an archive before its members are judged.
pub(crate) struct View<'a> {
    /// PyTorch's layout, if it is that.
    pub(super) layout: Option<Layout<'a>>,
    /// The format by the members that its loader asks for, if it is not PyTorch's layout.
    pub(super) kind: Option<Format>,
    root: &'a [u8],
    /// Whether a torch.export archive asks for weights or constants to be unpickled.
    pickled: bool,
    /// The modules that a package brings along, in order.
    pub(super) own: Vec<String>,
}

impl View<'_> {
    /// Whether PyTorch's reader opens the archive, which takes its folder from the first entry.
    pub(super) const fn is_torch(&self) -> bool {
        matches!(self.kind, Some(Format::TorchPackage | Format::TorchExport))
    }

    pub(crate) fn role(&self, name: &[u8]) -> Role {
        let raw =
            self.kind.is_some_and(|kind| zip_kind::is_raw(kind, self.root, name, self.pickled));
        match self.layout {
            Some(layout) => layout.role(name),
            None if raw => Role::Storage,
            None => Role::Other,
        }
    }

    /// The persistent ids that the archive's loader understands in a pickle of it.
    pub(super) const fn ids(&self) -> PersistentIds {
        match (self.layout, self.kind) {
            (Some(_), _) => PersistentIds::Storages,
            (None, Some(Format::TorchPackage)) => PersistentIds::Package,
            (None, _) => PersistentIds::None,
        }
    }

    pub(super) fn script(&self, name: &[u8]) -> Script {
        // A package keeps TorchScript below a folder of its own (`.data/ts_code`).
        let below = name.windows(15).any(|part| part.eq_ignore_ascii_case(b"/code/__torch__"));
        match self.layout {
            Some(layout) if layout.is_script(name) => Script::Only,
            _ if below && python::is_source_name(name) => Script::Also,
            _ => Script::No,
        }
    }
}

impl Judge<'_> {
    /// Looks at the members' names, and at the few that say how to read the others.
    pub(super) fn view_of<'a>(&mut self, archive: &Archive<'a>, context: &Context<'_>) -> View<'a> {
        let root = archive.root().unwrap_or_default();
        let mut layout = layout(archive);
        let mut kind = zip_kind::kind(archive);
        // `torch.load` opens a package too, but for a `data.pkl` in the first entry's folder alone.
        if kind == Some(Format::TorchPackage) && !zip_kind::has_object(archive) {
            layout = None;
        } else if layout.is_some() {
            kind = None;
        }
        let mut view = View { layout, kind, root, pickled: false, own: Vec::new() };
        // No other kind says anything in its members' names.
        let says = matches!(kind, Some(Format::TorchPackage | Format::TorchExport));
        for entry in archive.entries().map_while(Result::ok).take_while(|_| says) {
            match kind {
                Some(Format::TorchPackage) => {
                    let module = zip_kind::module(root, entry.name());
                    let module = module.and_then(|module| std::str::from_utf8(module).ok());
                    view.own.extend(module.map(|module| module.replace('/', ".")));
                }
                Some(Format::TorchExport) if zip_kind::is_payload_config(root, entry.name()) => {
                    let name = printable_bytes(entry.name());
                    let path = member_path(context.path, &name);
                    let config = self.content(&entry, Role::Other, &path).unwrap_or_default();
                    view.pickled |= torch_export::asks_for_pickle(&config);
                }
                Some(Format::TorchExport) => {
                    view.pickled |= zip_kind::is_compiled_data(root, entry.name());
                }
                _ => {}
            }
        }
        view.own.sort_unstable();
        view
    }

    /// Judges what a member means to its archive's loader, beside what it is as a file; whether
    /// it is what the loader takes the model from.
    pub(super) fn records_of_kind(
        &mut self,
        entry: &Entry<'_>,
        view: &View<'_>,
        content: &[u8],
        context: &Context<'_>,
    ) -> bool {
        let name = entry.name();
        if view.layout.is_some_and(|layout| layout.is_bytecode(name)) {
            self.walk(Format::TorchScript, torchscript::bytecode, content, context);
        }
        match view.kind {
            Some(Format::TorchExport) if zip_kind::is_graph(view.root, name) => {
                self.walk(Format::TorchExport, torch_export::read, content, context);
                return true;
            }
            Some(Format::TorchExport) if zip_kind::is_compiled(view.root, name) => {
                let why = "AOTInductor's loader compiles or maps this member, and runs it";
                self.tally.find(Rule::NativeCode, context.path, None, context.name, why);
            }
            Some(Format::TorchPackage) if zip_kind::is_extern_list(view.root, name) => {
                self.walk(Format::TorchPackage, python::extern_modules, content, context);
            }
            Some(Format::TorchServe) if name == b"requirements.txt" => {
                let what =
                    "a server may install what `requirements.txt` lists, and nobody judged that";
                self.tally.note(what);
            }
            _ => {}
        }
        false
    }
}
