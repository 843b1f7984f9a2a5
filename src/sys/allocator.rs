//! What the allocator (that of glibc) retains.

/// Makes the allocator return free memory. glibc has eight arenas per processor, and each retains
/// more the larger the freed blocks are. Here there are few arenas, each of which retains what a
/// long video takes at its start, and no more.
pub fn tune_allocator() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [
        (libc::M_ARENA_MAX, 4),
        (libc::M_TRIM_THRESHOLD, 512 << 10),
        (libc::M_MMAP_THRESHOLD, 128 << 10),
    ] {
        // SAFETY: it takes two numbers, and there are no other threads yet.
        if unsafe { libc::mallopt(setting, value) } != 1 {
            log::debug!("the allocator keeps its setting {setting}");
        }
    }
}

/// Returns free memory to the system, also between blocks that are in use: what a crowd of downloads leaves is not at
/// the end of an arena.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and locks the arenas that it looks at.
    unsafe {
        libc::malloc_trim(0);
    }
}
