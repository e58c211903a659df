//! Errors of the gateway, as the package throws them.

use napi_derive::napi;
use secure_torch::{Code, Error};

use crate::judgement::Judgement;

/// Why something was not done. The package makes a `SecureTorchError` of it.
#[napi(object, object_from_js = false)]
pub struct Failure {
    /// The stable code.
    pub code: String,
    /// What happened, and where.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The path or name that it is about.
    pub path: String,
    /// The judgement, where there is one.
    pub judgement: Option<Judgement>,
}

impl Failure {
    pub(crate) fn new(error: &Error, judgement: Option<Judgement>) -> Self {
        let path = error.path().to_owned();
        Self { path, judgement, ..Self::told(error.code(), error.to_string()) }
    }

    /// An error of this binding's own.
    pub(crate) fn told(code: Code, message: String) -> Self {
        Self {
            code: code.name().to_owned(),
            message,
            hint: code.hint().to_owned(),
            path: String::new(),
            judgement: None,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(&error, None)
    }
}
