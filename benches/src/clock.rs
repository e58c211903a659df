//! Process CPU time: what a run costs, whoever else uses the machine.
//!
//! Wall time on a shared machine measures the neighbours too. CPU time still moves with caches
//! and clock rates, so callers interleave what they compare and take the least of several runs.

use std::time::Duration;

/// The CPU time that this process has used, in user and kernel mode.
#[cfg(unix)]
#[must_use]
pub fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Where there is no such clock, wall time since the first call.
#[cfg(not(unix))]
#[must_use]
pub fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

/// The CPU time of one call, and what it returned.
pub fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let start = cpu_time();
    let result = run();
    (cpu_time().saturating_sub(start), result)
}
