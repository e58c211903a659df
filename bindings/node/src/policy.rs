//! `Policy`: what the caller lets through.

use std::path::{Path, PathBuf};

use napi::bindgen_prelude::{BigInt, Either, Either3, Null};
use napi_derive::napi;
use secure_torch::{Code, Error};

use crate::failure::Failure;

/// What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`.
#[napi]
#[derive(Clone)]
pub struct Policy {
    pub(crate) inner: secure_torch::Policy,
}

/// A policy file that was found.
#[napi(object, object_from_js = false)]
pub struct Discovered {
    /// Where it lies.
    pub path: String,
    /// What it says.
    pub policy: Policy,
}

type Made = Either<Policy, Failure>;

#[napi]
impl Policy {
    /// A policy of these globals and limits.
    #[napi(ts_return_type = "Policy | Failure", catch_unwind)]
    pub fn make(allow: Vec<String>, names: Vec<String>, values: Vec<BigInt>) -> Made {
        let mut inner = secure_torch::Policy::default();
        for name in allow {
            match name.parse() {
                Ok(global) => inner.allow.push(global),
                Err(error) => return Either::B(Failure::from(error)),
            }
        }
        for (name, value) in names.iter().zip(&values) {
            let (negative, number, lossless) = value.get_u64();
            if negative || !lossless || !inner.limits.set(name, number) {
                let name = secure_torch::text::printable(name);
                let message =
                    format!("the policy is not valid: no limit `{name}` takes this value");
                return Either::B(Failure::told(Code::Policy, message));
            }
        }
        Either::A(Self { inner })
    }

    /// The policy in a `secure-torch.toml`.
    #[napi(ts_return_type = "Policy | Failure", catch_unwind)]
    pub fn open(path: String) -> Made {
        Self::of(secure_torch::Policy::open(Path::new(&path)))
    }

    /// The policy in a text, whose `paths` count from the folder `base`.
    #[napi(ts_return_type = "Policy | Failure", catch_unwind)]
    pub fn from_toml(text: String, base: String) -> Made {
        Self::of(secure_torch::Policy::from_toml(&text, Path::new(&base)))
    }

    /// The policy file that holds for a path, where there is one.
    #[napi(catch_unwind)]
    pub fn discover(path: String) -> Either3<Discovered, Failure, Null> {
        match secure_torch::Policy::discover(Path::new(&path)) {
            Ok(Some((path, inner))) => {
                let path = path.to_string_lossy().into_owned();
                Either3::A(Discovered { path, policy: Self { inner } })
            }
            Ok(None) => Either3::C(Null),
            Err(error) => Either3::B(Failure::from(error)),
        }
    }

    /// The same policy with another score.
    #[napi(catch_unwind)]
    pub fn with_max_threat_score(&self, score: u8) -> Self {
        let mut inner = self.inner.clone();
        inner.max_threat_score = score;
        Self { inner }
    }

    /// The highest score that is let through.
    #[napi(getter)]
    pub fn max_threat_score(&self) -> u8 {
        self.inner.max_threat_score
    }

    /// The globals that are allowed beyond the rules.
    #[napi(getter)]
    pub fn allow(&self) -> Vec<String> {
        self.inner.allow.iter().map(ToString::to_string).collect()
    }

    /// The file that the policy comes from.
    #[napi(getter)]
    pub fn path(&self) -> Option<String> {
        let path: PathBuf = self.inner.file.as_ref()?.path().to_owned();
        Some(path.to_string_lossy().into_owned())
    }
}

impl Policy {
    fn of(made: Result<secure_torch::Policy, Error>) -> Made {
        match made {
            Ok(inner) => Either::A(Self { inner }),
            Err(error) => Either::B(Failure::from(error)),
        }
    }
}
