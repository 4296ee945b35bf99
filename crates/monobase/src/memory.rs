//! The allocator's settings.

/// glibc gives every thread an arena of its own and rarely returns their pages: with a handful of
/// threads that is most of an idle server's memory. Two are as fast here.
pub(crate) fn limit_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt only stores the setting; no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}
