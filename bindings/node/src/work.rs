//! Work on libuv's thread pool.
//!
//! Node-API can take back work that has not begun, and no other. The package therefore lets go of
//! what it does not want any more, and work that begins afterwards ends at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use napi::bindgen_prelude::{AsyncTask, Either3, Null, ToNapiValue, TypeName};
use napi::{Env, Task};
use napi_derive::napi;

use crate::failure::Failure;

/// Whether somebody still wants an answer.
#[napi]
#[derive(Default)]
pub struct Interest(Arc<AtomicBool>);

#[napi]
impl Interest {
    /// Somebody does.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nobody does.
    #[napi]
    pub fn lose(&self) {
        self.0.store(true, Ordering::Release);
    }
}

type Job<T> = Box<dyn FnOnce() -> Result<T, Failure> + Send>;

/// A job, and the answer that it gives: what was wanted, a failure, or nothing where nobody wants it.
pub struct Work<T> {
    job: Option<Job<T>>,
    lost: Arc<AtomicBool>,
}

impl<T: ToNapiValue + TypeName + Send + 'static> Work<T> {
    pub(crate) fn begin(
        interest: &Interest,
        job: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> AsyncTask<Self> {
        AsyncTask::new(Self { job: Some(Box::new(job)), lost: Arc::clone(&interest.0) })
    }
}

impl<T: ToNapiValue + TypeName + Send + 'static> Task for Work<T> {
    type Output = Option<Result<T, Failure>>;
    type JsValue = Either3<T, Failure, Null>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        let job = self.job.take().filter(|_| !self.lost.load(Ordering::Acquire));
        let Some(job) = job else { return Ok(None) };
        // The job owns what it works on, and nothing of it is seen again after a panic.
        let done = catch_unwind(AssertUnwindSafe(job));
        done.map(Some)
            .map_err(|_| napi::Error::from_reason("secure-torch has a defect: it panicked"))
    }

    fn resolve(&mut self, _: Env, output: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(match output {
            Some(Ok(made)) => Either3::A(made),
            Some(Err(failure)) => Either3::B(failure),
            None => Either3::C(Null),
        })
    }
}
