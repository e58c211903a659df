//! The library itself: its version, its results, its rules.

use std::sync::OnceLock;

use secure_torch::Code;

use crate::SECURE_TORCH_ABI_VERSION;
use crate::boundary::tell;
use crate::text::Str;

/// What a function that can fail returns: SECURE_TORCH_RESULT_OK, or the permanent number of an error
/// (`spec/errors.toml`). A later release may return numbers that this header does not know.
pub type ResultNumber = u32;

/// `SECURE_TORCH_RESULT_OK`
pub(crate) const OK: ResultNumber = 0;

/// The ABI version of the library that is running. Where it is not SECURE_TORCH_ABI_VERSION, call
/// nothing else.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_abi_version() -> u32 {
    SECURE_TORCH_ABI_VERSION
}

/// The version of the library: `0.1.0`. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_version() -> Str {
    Str::from(env!("CARGO_PKG_VERSION"))
}

/// The stable name of a result: `model-blocked`; `ok` for SECURE_TORCH_RESULT_OK; empty for a number
/// that is none. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_result_name(result: ResultNumber) -> Str {
    tell(Str::default(), || match code(result) {
        Some(code) => Str::from(code.name()),
        None if result == OK => Str::from("ok"),
        None => Str::default(),
    })
}

/// What to do about a result; empty where there is nothing to do. Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_result_hint(result: ResultNumber) -> Str {
    tell(Str::default(), || Str::of(code(result).map(hint)))
}

/// The rules by which files are judged, as JSON: what `secure-torch rules --format json` prints.
/// Valid for ever.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_rules_json() -> Str {
    static JSON: OnceLock<String> = OnceLock::new();
    tell(Str::default(), || Str::from(JSON.get_or_init(secure_torch::rules_json).as_str()))
}

/// What to do about an error, told to a programmer of C.
pub(crate) const fn hint(code: Code) -> &'static str {
    match code {
        Code::Usage => "the function's description in secure_torch.h says what is expected",
        code => code.hint(),
    }
}

fn code(result: ResultNumber) -> Option<Code> {
    Code::ALL.iter().copied().find(|code| code.number() == result)
}
