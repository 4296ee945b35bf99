//! The allocator.

use std::alloc::{GlobalAlloc, Layout};

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};

/// A request makes some sixty small allocations, for which glibc's allocator takes a tenth of its time; mimalloc takes a
/// third of that, and gives what is free back to the system by itself.
///
/// The functions that take an alignment look for a block that happens to have it, and otherwise take a larger one. What
/// needs no more than a pointer does is aligned anyway, and goes the short way.
struct Mimalloc;

#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;

/// Blocks of every size are aligned to this: their sizes are multiples of a word.
const WORD: usize = size_of::<usize>();

// SAFETY: the functions of mimalloc do what the trait asks for: blocks of at least the size, aligned to a word, or to
// what is asked for; null when there is no memory; `mi_free` and `mi_realloc` take blocks from all of them.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe {
            if layout.align() <= WORD {
                mi_malloc(layout.size()).cast()
            } else {
                mi_malloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size will do.
        unsafe {
            if layout.align() <= WORD {
                mi_zalloc(layout.size()).cast()
            } else {
                mi_zalloc_aligned(layout.size(), layout.align()).cast()
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller got the block from this allocator.
        unsafe { mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got the block from this allocator.
        unsafe {
            if layout.align() <= WORD {
                mi_realloc(block.cast(), size).cast()
            } else {
                mi_realloc_aligned(block.cast(), size, layout.align()).cast()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What `work` does with a block of that layout, filled with a pattern before.
    #[allow(unsafe_code)]
    fn with_block(layout: Layout, zeroed: bool, larger: Option<usize>) -> (usize, bool) {
        // SAFETY: the layouts have a size, every byte that is read was written or zeroed before, and the block goes back
        // with the layout it has at the end.
        unsafe {
            let block = if zeroed { ALLOCATOR.alloc_zeroed(layout) } else { ALLOCATOR.alloc(layout) };
            let kept = if zeroed { 0 } else { 0x5a };
            if !zeroed {
                block.write_bytes(kept, layout.size());
            }
            let size = larger.unwrap_or(layout.size());
            let block = if larger.is_some() { ALLOCATOR.realloc(block, layout, size) } else { block };
            let known = std::slice::from_raw_parts(block, size.min(layout.size()));
            let answer = (block as usize % layout.align(), known.iter().all(|byte| *byte == kept));
            ALLOCATOR.dealloc(block, Layout::from_size_align_unchecked(size, layout.align()));
            answer
        }
    }

    #[test]
    fn blocks_are_aligned_and_keep_their_content() {
        for align in [1, 2, 4, 8, 16, 64, 128, 4096] {
            for size in [1, 3, 8, 24, 40, 100, 1000, 1030, 70_000, 3 << 20] {
                let layout = Layout::from_size_align(size, align).unwrap();
                for zeroed in [false, true] {
                    for larger in [None, Some(size * 2 + 5), Some(size.div_ceil(2))] {
                        assert_eq!(with_block(layout, zeroed, larger), (0, true), "{layout:?} {larger:?}");
                    }
                }
            }
        }
    }
}
