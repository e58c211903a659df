//! `load`: judges a file and gives what it holds.

use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Either, Uint8Array};
use napi_derive::napi;
use secure_torch::core::checkpoint::{Place, Span, StorageId};
use secure_torch::core::load::Python2Text;
use secure_torch::{Checkpoint, Code, LoadOptions};

use crate::failure::Failure;
use crate::input::{Given, Input};
use crate::judgement::Judgement;
use crate::memory::Buffer;
use crate::policy::Policy;
use crate::tree;
use crate::work::{Interest, Work};

/// How a file is loaded.
#[napi(object, object_to_js = false)]
pub struct Loading {
    /// How the strings of Python 2 in a pickle are decoded: `utf-8`, `ascii`, `latin1` or `bytes`.
    pub encoding: String,
    /// Work on a copy of the file that nobody can change.
    pub sealed: bool,
    /// Load what the policy blocks as well.
    pub audit_only: bool,
    /// Lay tensors over a mapping of the file where they can be.
    pub mmap: bool,
}

/// What was loaded. The package's `Checkpoint` is its face.
#[napi]
pub struct Loaded {
    made: Arc<Checkpoint>,
    judgement: Judgement,
    tree: Option<String>,
    bytes: Vec<Span>,
    copy: bool,
}

/// Where a storage lies: in which storage's buffer, and from which byte on.
#[napi(object, object_from_js = false)]
pub struct Lies {
    /// The storage with the buffer.
    pub buffer_of: u32,
    /// The first byte.
    pub offset: i64,
}

#[napi]
impl Loaded {
    /// The judgement.
    #[napi(getter, catch_unwind)]
    pub fn judgement(&self) -> Judgement {
        self.judgement.clone()
    }

    /// What it holds, as `tree.rs` writes it. The text is given once.
    #[napi(catch_unwind)]
    pub fn tree(&mut self) -> String {
        self.tree.take().unwrap_or_default()
    }

    /// A copy of bytes that the tree refers to.
    #[napi(catch_unwind)]
    pub fn bytes(&self, number: u32) -> Uint8Array {
        let span = self.bytes.get(number as usize).copied().unwrap_or_default();
        self.made.bytes(span).to_vec().into()
    }

    /// Whose buffer a storage lies in.
    #[napi(catch_unwind)]
    pub fn lies(&self, storage: u32) -> napi::Result<Either<Lies, Failure>> {
        let id = self.id(storage)?;
        Ok(self.place(id).map_or_else(|error| Either::B(error.into()), Either::A))
    }

    /// The memory of a storage, that it shares with nobody else.
    #[napi(ts_return_type = "ArrayBuffer | Failure", catch_unwind)]
    pub fn buffer(&self, storage: u32) -> napi::Result<Either<Buffer, Failure>> {
        let memory = self.memory(self.id(storage)?);
        Ok(memory.map_or_else(|error| Either::B(error.into()), |memory| Either::A(Buffer(memory))))
    }
}

impl Loaded {
    fn id(&self, storage: u32) -> napi::Result<StorageId> {
        let id = self.made.storage_id(storage as usize);
        id.ok_or_else(|| napi::Error::from_reason("there is no such storage"))
    }

    fn memory(&self, id: StorageId) -> Result<secure_torch::Memory, secure_torch::Error> {
        if self.copy { self.made.copy(id) } else { self.made.memory(id) }
    }

    /// A view is a part of another storage's buffer, unless its elements would lie askew there: a
    /// typed array starts at a multiple of its element's size (ECMA-262, 23.2.5.1).
    fn place(&self, id: StorageId) -> Result<Lies, secure_torch::Error> {
        let own = Lies { buffer_of: u32::try_from(id.index()).unwrap_or(u32::MAX), offset: 0 };
        let Some(storage) = self.made.storage(id) else { return Ok(own) };
        let Place::View { of, offset } = storage.place else { return Ok(own) };
        let (part, whole) = (self.memory(id)?, self.memory(of)?);
        let inside = part.start().addr().get().checked_sub(whole.start().addr().get());
        let inside = inside.and_then(|inside| u64::try_from(inside).ok()) == Some(offset);
        if !inside || !offset.is_multiple_of(WIDEST) {
            return Ok(own);
        }
        let buffer_of = u32::try_from(of.index()).unwrap_or(u32::MAX);
        Ok(Lies { buffer_of, offset: i64::try_from(offset).unwrap_or(i64::MAX) })
    }
}

/// The widest element of a typed array.
const WIDEST: u64 = 8;

/// The longest text in V8, in UTF-16 units (`String::kMaxLength` of Node 18 to 24).
const LONGEST: usize = (1 << 29) - 24;

/// What a path, a folder or bytes hold.
pub(crate) fn opened(
    given: Given,
    policy: &secure_torch::Policy,
    options: &LoadOptions,
) -> Result<(Checkpoint, Judgement), Failure> {
    if let Given::Path(path) = &given
        && path.is_dir()
    {
        return match secure_torch::load_path(path, policy, options) {
            Ok((made, report)) => Ok((made, Judgement::of_path(report, policy))),
            Err(failed) => {
                let judgement = failed.report.map(|report| Judgement::of_path(*report, policy));
                Err(Failure::new(&failed.error, judgement))
            }
        };
    }
    let source = Arc::new(given.open()?);
    match secure_torch::load_shared(&source, policy, options) {
        Ok((made, report)) => Ok((made, Judgement::new(report, policy, &source))),
        Err(failed) => {
            let judgement = failed.report.map(|report| Judgement::new(*report, policy, &source));
            Err(Failure::new(&failed.error, judgement))
        }
    }
}

fn loaded(
    given: Given,
    policy: &secure_torch::Policy,
    options: &LoadOptions,
    copy: bool,
) -> Result<Loaded, Failure> {
    let (made, judgement) = opened(given, policy, options)?;
    let told = made.prepare(copy).and_then(|()| tree::tell(&made));
    match told {
        Ok((tree, _)) if tree.len() > LONGEST => {
            let name = made.files().first().map_or("", |file| file.name());
            let name = secure_torch::text::printable(name);
            let message =
                format!("`{name}` is too large: it holds more values than JavaScript takes");
            let judgement = Some(judgement);
            Err(Failure { judgement, ..Failure::told(Code::TooLarge, message) })
        }
        Ok((tree, bytes)) => {
            Ok(Loaded { made: Arc::new(made), judgement, tree: Some(tree), bytes, copy })
        }
        Err(error) => Err(Failure::new(&error, Some(judgement))),
    }
}

fn options(how: &Loading) -> LoadOptions {
    let text = match how.encoding.as_str() {
        "ascii" => Python2Text::Ascii,
        "latin1" => Python2Text::Latin1,
        "bytes" => Python2Text::Bytes,
        _ => Python2Text::Utf8,
    };
    LoadOptions { sealed: how.sealed, text, audit_only: how.audit_only }
}

/// Judges a file and loads what it holds.
#[napi(catch_unwind)]
pub fn load_sync(
    input: &mut Input,
    policy: &Policy,
    how: Loading,
) -> napi::Result<Either<Loaded, Failure>> {
    let loaded = loaded(input.take()?, &policy.inner, &options(&how), !how.mmap);
    Ok(loaded.map_or_else(Either::B, Either::A))
}

/// Judges a file and loads what it holds, on the thread pool.
#[napi(ts_return_type = "Promise<Loaded | Failure | null>", catch_unwind)]
pub fn load(
    input: &mut Input,
    policy: &Policy,
    how: Loading,
    interest: &Interest,
) -> napi::Result<AsyncTask<Work<Loaded>>> {
    let (given, policy) = (input.take()?, policy.inner.clone());
    Ok(Work::begin(interest, move || loaded(given, &policy, &options(&how), !how.mmap)))
}
