//! Progress on long work: a bar on standard error, only on a terminal, only after a while.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secure_torch::{Progress, convert};

/// Work that takes less than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(600);

/// A bar that appears once the work turns out to be long.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// Dropping it tells the clock to stop.
    over: Option<Sender<()>>,
    clock: Option<JoinHandle<()>>,
}

impl Bar {
    /// A bar over files.
    pub(crate) fn files(wanted: bool) -> Self {
        Self::new(wanted, "{spinner} judging [{bar:24}] {pos}/{len} files  {elapsed}  {wide_msg}")
    }

    /// A bar over a conversion, which writes and compares.
    pub(crate) fn conversion() -> Self {
        Self::new(true, "{spinner} {msg:9} [{bar:24}] {percent}%  {elapsed}")
    }

    /// A bar that nobody sees yet; where `wanted` is false or nobody could see it, nobody will.
    fn new(wanted: bool, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if !wanted || !std::io::stderr().is_terminal() {
            return Self { bar, over: None, clock: None };
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let (over, waiting) = channel::<()>();
        let shown = bar.clone();
        let clock = thread::spawn(move || {
            // The sender says nothing; it is dropped when the work is over.
            if waiting.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(120));
            }
        });
        Self { bar, over: Some(over), clock: Some(clock) }
    }
}

impl Progress for Bar {
    fn found(&self, files: u64) {
        self.bar.inc_length(files);
    }

    fn finished(&self, path: &Path) {
        self.bar.inc(1);
        self.bar.set_message(secure_torch::text::printable(&path.to_string_lossy()));
    }
}

impl convert::Progress for Bar {
    fn started(&self, bytes: u64) {
        self.bar.set_length(bytes.saturating_mul(2));
        self.bar.set_message("writing");
    }

    fn wrote(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn comparing(&self) {
        self.bar.set_message("comparing");
    }

    fn compared(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(clock) = self.clock.take() {
            drop(clock.join());
        }
        self.bar.finish_and_clear();
    }
}
