//! The border: what every entry does before and after its own work.
//!
//! No panic unwinds into C, where that would be undefined: it is caught here and becomes the error
//! `internal-panic`. Outputs are cleared first, so that a caller who ignores a result reads NULL or
//! zeros and never what was there before.

use std::any::Any;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use secure_torch::{Code, LoadError};

use crate::error::Error;
use crate::report::Report;

/// Where C wants something written; NULL is nothing.
pub(crate) type Out<'o, T> = Option<&'o mut MaybeUninit<T>>;

/// Why an entry failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) path: String,
    pub(crate) report: Option<Box<Report>>,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::of(Code::Usage, message)
    }

    pub(crate) fn of(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: String::new(), report: None }
    }

    /// What loading says, with its judgement.
    pub(crate) fn load(failed: LoadError, policy: &secure_torch::Policy) -> Self {
        let report = failed.report.map(|report| Box::new(Report::new(*report, policy)));
        Self { report, ..failed.error.into() }
    }

    fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("a panic without a message");
        Self::of(Code::Internal, format!("secure-torch failed: {text}"))
    }
}

impl From<secure_torch::Error> for Failure {
    fn from(error: secure_torch::Error) -> Self {
        let (code, path) = (error.code(), error.path().to_owned());
        Self { code, message: error.to_string(), path, report: None }
    }
}

/// An argument that must not be NULL.
pub(crate) fn given<T>(argument: Option<T>, name: &str) -> Result<T, Failure> {
    argument.ok_or_else(|| Failure::usage(format!("`{name}` is NULL")))
}

/// Runs the work of an entry that gives nothing but its result.
pub(crate) fn enter(error: Out<'_, *mut Error>, work: impl FnOnce() -> Result<(), Failure>) -> u32 {
    let done = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done,
        Err(payload) => Err(Failure::panicked(&*payload)),
    };
    let (number, made) = match done {
        Ok(()) => (crate::library::OK, ptr::null_mut()),
        Err(failure) => {
            let number = failure.code.number();
            // Nobody listens: the error is not even made.
            let made = error.as_ref().map(|_| Box::into_raw(Box::new(Error::new(failure))));
            (number, made.unwrap_or(ptr::null_mut()))
        }
    };
    if let Some(error) = error {
        error.write(made);
    }
    number
}

/// Runs the work of an entry that gives a handle.
pub(crate) fn make<T>(
    name: &str,
    out: Out<'_, *mut T>,
    error: Out<'_, *mut Error>,
    work: impl FnOnce() -> Result<T, Failure>,
) -> u32 {
    make_or_none(name, out, error, || work().map(Some))
}

/// [`make`], of an entry that succeeds without a handle too.
pub(crate) fn make_or_none<T>(
    name: &str,
    mut out: Out<'_, *mut T>,
    error: Out<'_, *mut Error>,
    work: impl FnOnce() -> Result<Option<T>, Failure>,
) -> u32 {
    clear(&mut out);
    enter(error, || {
        let out = given(out, name)?;
        let made = work()?.map(|made| Box::into_raw(Box::new(made)));
        out.write(made.unwrap_or(ptr::null_mut()));
        Ok(())
    })
}

/// Runs the work of an entry that fills something in.
pub(crate) fn fill<T: Default>(
    name: &str,
    mut out: Out<'_, T>,
    error: Out<'_, *mut Error>,
    work: impl FnOnce() -> Result<T, Failure>,
) -> u32 {
    if let Some(out) = &mut out {
        out.write(T::default());
    }
    enter(error, || {
        let out = given(out, name)?;
        out.write(work()?);
        Ok(())
    })
}

/// Sets an output to NULL.
pub(crate) fn clear<T>(out: &mut Out<'_, *mut T>) {
    if let Some(out) = out {
        out.write(ptr::null_mut());
    }
}

/// Writes a handle where one is wanted; it is dropped otherwise.
pub(crate) fn put<T>(out: Out<'_, *mut T>, made: T) {
    if let Some(out) = out {
        out.write(Box::into_raw(Box::new(made)));
    }
}

/// Runs the work of an entry that cannot fail, and gives `fallback` should it panic.
pub(crate) fn tell<T>(fallback: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(fallback)
}

/// Ends a handle.
pub(crate) fn end<T>(handle: Option<Box<T>>) {
    tell((), || drop(handle));
}
