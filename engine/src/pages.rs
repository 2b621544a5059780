//! Memory for blocks in large pages.
//!
//! A block's memory is new and touched once or twice. With pages of 4 kB the first touch of each costs
//! more than most operations do with its voxels.

/// Memory below this is reused by the allocator, mostly, and is not worth a call of the system.
const WORTH_IT: usize = 4 << 20;
/// What the system's pages are multiples of, everywhere that Linux runs.
const PAGE: usize = 64 << 10;

/// Asks for large pages where memory is large and the system has them. Its content stays.
pub fn in_large_pages<T>(mut memory: Vec<T>) -> Vec<T> {
    let bytes = std::mem::size_of_val(memory.as_slice());
    if bytes < WORTH_IT {
        return memory;
    }
    let start = memory.as_mut_ptr().cast::<u8>();
    let before = start.align_offset(PAGE);
    let inside = bytes.saturating_sub(before) / PAGE * PAGE;
    #[cfg(target_os = "linux")]
    if inside > 0 {
        // SAFETY: the range lies inside the vector's memory, and the advice changes nothing of it.
        // A system that does not take it is as slow as before.
        let _ = unsafe {
            rustix::mm::madvise(start.add(before).cast(), inside, rustix::mm::Advice::LinuxHugepage)
        };
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_any_size_keeps_its_content() {
        for len in [0, 1, WORTH_IT / 8 - 1, WORTH_IT / 8, WORTH_IT / 8 + 12_345] {
            let values: Vec<u64> = (0..len as u64).collect();
            let moved = in_large_pages(values.clone());
            assert_eq!(moved, values);
            assert!(in_large_pages(vec![0u8; len]).iter().all(|byte| *byte == 0));
        }
    }
}
