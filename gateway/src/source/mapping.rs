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

use std::ptr::NonNull;

use memmap2::{Mmap, MmapOptions, MmapRaw};

/// A read-only mapping of a whole file.
#[derive(Debug)]
pub(super) struct Mapping {
    // Dropped before the mapping, whose addresses may be somebody else's at once.
    #[cfg(unix)]
    guard: guard::Guard,
    map: Mmap,
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
            let Some(guard) = guard::Guard::new(map.as_ptr().addr(), map.len(), false) else {
                return Ok(None);
            };
            Ok(Some(Self { guard, map }))
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

/// A private mapping of a whole file that its holder may write to: what is written stays in this
/// process and never reaches the file.
///
/// It is an address, not a slice: whoever writes to it does so outside of Rust, and this crate does
/// not read it.
#[derive(Debug)]
pub struct PrivateMap {
    #[cfg(unix)]
    _guard: guard::Guard,
    map: MmapRaw,
}

impl PrivateMap {
    /// Maps a file of more than zero bytes. `None` where no guard is left to watch over it.
    pub(super) fn new(file: &File) -> io::Result<Option<Self>> {
        // SAFETY: the mapping is private, so writing to it changes no file; it is handed on as raw
        // memory, of which no reference is ever made here, so no rule of Rust's about references
        // rests on what it holds. A file that shrinks is what the guard is for.
        let map = unsafe { MmapOptions::new().map_copy(file)? };
        let map = MmapRaw::from(map);
        #[cfg(unix)]
        {
            let Some(guard) = guard::Guard::new(map.as_ptr().addr(), map.len(), true) else {
                return Ok(None);
            };
            Ok(Some(Self { _guard: guard, map }))
        }
        #[cfg(not(unix))]
        Ok(Some(Self { map }))
    }

    /// The first byte, at a page's start.
    pub(crate) fn start(&self) -> NonNull<u8> {
        NonNull::new(self.map.as_mut_ptr()).unwrap_or(NonNull::dangling())
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
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

    /// How many mappings can be watched at one time. The handler walks them all, so there are
    /// few; past them a file is read into memory instead.
    const SLOTS: usize = 512;

    struct Slot {
        taken: AtomicBool,
        /// Zero while nothing is watched.
        start: AtomicUsize,
        length: AtomicUsize,
        /// Whether its holder may write to it: to the zeros in its place as well.
        writable: AtomicBool,
        faulted: AtomicBool,
    }

    static WATCHED: [Slot; SLOTS] = [const {
        Slot {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            writable: AtomicBool::new(false),
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
        pub(super) fn new(start: usize, length: usize, writable: bool) -> Option<Self> {
            if !installed() {
                return None;
            }
            let (index, slot) = WATCHED.iter().enumerate().find(|(_, slot)| {
                slot.taken
                    .compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            })?;
            slot.faulted.store(false, Ordering::Relaxed);
            slot.writable.store(writable, Ordering::Relaxed);
            slot.length.store(length, Ordering::Relaxed);
            slot.start.store(start, Ordering::Release);
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
            // From the missing page to the mapping's end: what the file lost. Where it may be written
            // to, the page alone: another thread may have written behind it by now.
            let (rest, protection) = match slot.writable.load(Ordering::Relaxed) {
                true => (PAGE.load(Ordering::Relaxed), libc::PROT_READ | libc::PROT_WRITE),
                false => (start + length - page, libc::PROT_READ),
            };
            // SAFETY: the range lies inside a live mapping of ours (the thread that faults
            // holds it), so MAP_FIXED replaces nobody else's memory.
            let zeros = unsafe {
                libc::mmap(
                    ptr::without_provenance_mut(page),
                    rest,
                    protection,
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
