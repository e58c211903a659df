//! `secure_torch_policy`: what is let through.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::path::Path;

use secure_torch::Code;

use crate::boundary::{Failure, end, enter, given, make, make_or_none, tell};
use crate::error::Error;
use crate::input::{path, text};
use crate::library::ResultNumber;
use crate::text::Str;

/// What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`. A
/// function that takes one takes NULL too, for the default.
///
/// Ownership: yours; end it with secure_torch_policy_free(). Threads: any number of them may use it at
/// one time, but for the setters: nobody else may use a policy while it is set.
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) inner: secure_torch::Policy,
}

impl From<secure_torch::Policy> for Policy {
    fn from(inner: secure_torch::Policy) -> Self {
        Self { inner }
    }
}

/// The default policy: scores up to 20 are let through, no file holds. NULL only where the library
/// itself failed.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_policy_new() -> Option<Box<Policy>> {
    tell(None, || Some(Box::default()))
}

/// Reads a policy from the text of a `secure-torch.toml` (`docs/policy.md`), UTF-8. Its `paths` count
/// from the folder `base`, which has to be there; without one, from the working directory.
///
/// Errors: SECURE_TORCH_RESULT_POLICY_INVALID, with line and column.
///
/// # Safety
/// Each pointer is NULL or leads to as many bytes as its length says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_policy_from_toml(
    toml: *const c_char,
    toml_length: usize,
    base: *const c_char,
    base_length: usize,
    policy: Option<&mut MaybeUninit<*mut Policy>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("policy", policy, error, || {
        // SAFETY: as the caller says.
        let toml = unsafe { text("toml", toml, toml_length) }?;
        let base = match base_length {
            0 => Path::new("."),
            // SAFETY: as the caller says.
            _ => unsafe { path("base", base, base_length) }?,
        };
        Ok(secure_torch::Policy::from_toml(toml, base)?.into())
    })
}

/// Reads the policy in a file, which you name and therefore trust.
///
/// Errors: SECURE_TORCH_RESULT_POLICY_INVALID, with line and column, and those of reading.
///
/// # Safety
/// `file` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_policy_open(
    file: *const c_char,
    length: usize,
    policy: Option<&mut MaybeUninit<*mut Policy>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make("policy", policy, error, || {
        // SAFETY: as the caller says.
        let file = unsafe { path("file", file, length) }?;
        Ok(secure_torch::Policy::open(file)?.into())
    })
}

/// Finds the policy file that holds for a path, as `docs/policy.md` says: in the working directory or
/// above it, and above what is judged. Without one, `*policy` is NULL and the result is OK.
///
/// Errors: as secure_torch_policy_open().
///
/// # Safety
/// `judged` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_policy_discover(
    judged: *const c_char,
    length: usize,
    policy: Option<&mut MaybeUninit<*mut Policy>>,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    make_or_none("policy", policy, error, || {
        // SAFETY: as the caller says.
        let judged = unsafe { path("judged", judged, length) }?;
        Ok(secure_torch::Policy::discover(judged)?.map(|(_, inner)| inner.into()))
    })
}

/// Sets the highest score that is let through, 0 to 100. It wins over that of a file.
///
/// Errors: SECURE_TORCH_RESULT_USAGE.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_policy_set_max_threat_score(
    policy: Option<&mut Policy>,
    score: u8,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        let policy = given(policy, "policy")?;
        if score > 100 {
            return Err(Failure::usage(format!("`score` is {score}: scores end at 100")));
        }
        policy.inner.max_threat_score = score;
        Ok(())
    })
}

/// Allows a global beyond the rules: `module.name`, or `module:name` where the name holds dots. What
/// the rules call dangerous stays dangerous.
///
/// Errors: SECURE_TORCH_RESULT_POLICY_INVALID for what is no such name; the policy stays as it was.
///
/// # Safety
/// `name` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_policy_allow(
    policy: Option<&mut Policy>,
    name: *const c_char,
    length: usize,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        let policy = given(policy, "policy")?;
        // SAFETY: as the caller says.
        let name = unsafe { text("name", name, length) }?;
        policy.inner.allow.push(name.parse()?);
        Ok(())
    })
}

/// Sets a limit of the judgement, by its name in `spec/limits.toml`: `archive.total_bytes`.
///
/// Errors: SECURE_TORCH_RESULT_POLICY_INVALID where no limit has the name, or it cannot hold the
/// value; the policy stays as it was.
///
/// # Safety
/// `name` is NULL or leads to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn secure_torch_policy_set_limit(
    policy: Option<&mut Policy>,
    name: *const c_char,
    length: usize,
    value: u64,
    error: Option<&mut MaybeUninit<*mut Error>>,
) -> ResultNumber {
    enter(error, || {
        let policy = given(policy, "policy")?;
        // SAFETY: as the caller says.
        let name = unsafe { text("name", name, length) }?;
        if policy.inner.limits.set(name, value) {
            return Ok(());
        }
        let name = secure_torch::text::printable(name);
        let message = format!("the policy is not valid: no limit `{name}` takes the value {value}");
        Err(Failure::of(Code::Policy, message))
    })
}

/// The highest score that is let through. 0 for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_policy_max_threat_score(policy: Option<&Policy>) -> u8 {
    policy.map_or(0, |policy| policy.inner.max_threat_score)
}

/// The path of the file that the policy comes from, as far as it is UTF-8; empty without one.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_policy_path(policy: Option<&Policy>) -> Str {
    tell(Str::default(), || {
        let file = policy.and_then(|policy| policy.inner.file.as_ref());
        Str::of(file.and_then(|file| file.path().to_str()))
    })
}

/// Ends a policy. NULL is fine. What was judged or loaded under it does not need it.
#[unsafe(no_mangle)]
pub extern "C" fn secure_torch_policy_free(policy: Option<Box<Policy>>) {
    end(policy);
}
