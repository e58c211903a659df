//! A read-only mapping of a file that survives the file's shrinking.
//!
//! When a mapped file is truncated, touching a page behind its new end raises SIGBUS, and the
//! default action ends the process: a model that shrinks while it is judged would take the
//! judge down with it. So the first mapping installs a handler that puts zero pages in place of
//! the missing ones and marks the mapping as faulted; whoever judged it then asks
//! [`Mapping::faulted`] and reports that the file changed. A SIGBUS anywhere else goes on to
//! the handler that was there before.

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub(super) struct Mapping {
    map: Mmap,
    #[cfg(unix)]
    guard: guard::Guard,
}

impl Mapping {
    /// Maps a file of more than zero bytes. `None` where no guard is left to watch over it.
    pub(super) fn new(file: &File) -> io::Result<Option<Self>> {
        // SAFETY: the mapping is read-only and private, so this process cannot write through
        // it. Another process may change the file: the bytes are then other bytes, all of them
        // initialised, and every reader of this crate checks what it reads where it reads it
        // and derives no invariant from having read it before. A file that shrinks is what the
        // guard is for.
        let map = unsafe { Mmap::map(file)? };
        #[cfg(unix)]
        {
            let Some(guard) = guard::Guard::new(&map) else {
                return Ok(None);
            };
            Ok(Some(Self { map, guard }))
        }
        #[cfg(not(unix))]
        // Windows refuses to truncate a file that is mapped.
        Ok(Some(Self { map }))
    }

    /// Whether a page was missing when it was read: the file shrank.
    pub(super) fn faulted(&self) -> bool {
        #[cfg(unix)]
        return self.guard.faulted();
        #[cfg(not(unix))]
        false
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(unix)]
mod guard {
    use std::mem;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use memmap2::Mmap;

    /// How many mappings can be watched at one time. The handler walks them all, so there are
    /// few; past them a file is read into memory instead.
    const SLOTS: usize = 512;

    struct Slot {
        taken: AtomicBool,
        /// Zero while nothing is watched.
        start: AtomicUsize,
        length: AtomicUsize,
        faulted: AtomicBool,
    }

    static WATCHED: [Slot; SLOTS] = [const {
        Slot {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            faulted: AtomicBool::new(false),
        }
    }; SLOTS];

    static PAGE: AtomicUsize = AtomicUsize::new(0);

    /// The action that was there before ours.
    static PREVIOUS: OnceLock<Previous> = OnceLock::new();

    struct Previous(libc::sigaction);

    // SAFETY: a `sigaction` is plain data: a function's address, flags and a signal mask.
    unsafe impl Send for Previous {}
    // SAFETY: as above; it is never written after the first time.
    unsafe impl Sync for Previous {}

    /// Watches over one mapping for as long as it lives.
    #[derive(Debug)]
    pub(super) struct Guard(usize);

    impl Guard {
        pub(super) fn new(map: &Mmap) -> Option<Self> {
            if !installed() {
                return None;
            }
            let (index, slot) = WATCHED.iter().enumerate().find(|(_, slot)| {
                slot.taken
                    .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            })?;
            slot.faulted.store(false, Ordering::Relaxed);
            slot.length.store(map.len(), Ordering::Relaxed);
            slot.start.store(map.as_ptr().addr(), Ordering::Release);
            Some(Self(index))
        }

        pub(super) fn faulted(&self) -> bool {
            WATCHED[self.0].faulted.load(Ordering::Acquire)
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let slot = &WATCHED[self.0];
            slot.start.store(0, Ordering::Release);
            slot.taken.store(false, Ordering::Release);
        }
    }

    /// Installs the handler once; whether it stands.
    fn installed() -> bool {
        static INSTALLED: OnceLock<bool> = OnceLock::new();
        *INSTALLED.get_or_init(|| {
            // SAFETY: `sysconf` takes a number and returns one.
            let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
            let Ok(page) = usize::try_from(page) else {
                return false;
            };
            PAGE.store(page, Ordering::Release);
            let mut previous = mem::MaybeUninit::<libc::sigaction>::uninit();
            // SAFETY: with no new action, `sigaction` only fills in `previous`.
            if unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), previous.as_mut_ptr()) } != 0 {
                return false;
            }
            // SAFETY: the call above succeeded and filled it in.
            let previous = unsafe { previous.assume_init() };
            // Ours must be able to go on to the previous action from its first moment.
            if PREVIOUS.set(Previous(previous)).is_err() {
                return false;
            }
            // SAFETY: an all-zero `sigaction` is a valid one: no flags, an empty mask.
            let mut action: libc::sigaction = unsafe { mem::zeroed() };
            let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = on_sigbus;
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the handler has the signature that SA_SIGINFO asks for, does only what a
            // signal handler may (see there), and lives as long as the program.
            unsafe { libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) == 0 }
        })
    }

    /// Runs in the thread that touched the missing page: atomics and two system calls only.
    extern "C" fn on_sigbus(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: with SA_SIGINFO the kernel passes a pointer to a `siginfo_t` that lives until
        // the handler returns.
        let seen = unsafe { &*info };
        // SAFETY: for SIGBUS the union's active member is the one that holds the address.
        let address = unsafe { seen.si_addr() }.addr();
        for slot in &WATCHED {
            let start = slot.start.load(Ordering::Acquire);
            let length = slot.length.load(Ordering::Relaxed);
            if start == 0 || address.wrapping_sub(start) >= length {
                continue;
            }
            let page = address & !(PAGE.load(Ordering::Relaxed) - 1);
            // From the missing page to the mapping's end: what the file lost.
            let rest = start + length - page;
            // SAFETY: the range lies inside a live mapping of ours (the thread that faults
            // holds it), so MAP_FIXED replaces nobody else's memory.
            let zeros = unsafe {
                libc::mmap(
                    ptr::without_provenance_mut(page),
                    rest,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                    -1,
                    0,
                )
            };
            if zeros != libc::MAP_FAILED {
                slot.faulted.store(true, Ordering::Release);
                return;
            }
        }
        forward(signal, info, context);
    }

    fn forward(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        let Some(Previous(previous)) = PREVIOUS.get() else {
            return;
        };
        match previous.sa_sigaction {
            libc::SIG_IGN => {}
            libc::SIG_DFL => {
                // SAFETY: puts the default back; the access is tried again and ends the
                // process, as it would have without us.
                unsafe { libc::sigaction(signal, previous, ptr::null_mut()) };
            }
            handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
                // SAFETY: whoever installed this address promised that it is a handler of this
                // signature, by setting SA_SIGINFO.
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) =
                    unsafe { mem::transmute(handler) };
                handler(signal, info, context);
            }
            handler => {
                // SAFETY: as above, for a handler without SA_SIGINFO.
                let handler: extern "C" fn(i32) = unsafe { mem::transmute(handler) };
                handler(signal);
            }
        }
    }
}
