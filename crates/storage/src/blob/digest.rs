//! MD5, the slowest step of a large upload: by aws-lc's assembler, which the program has for TLS anyway and which takes
//! a fifth less time than portable code. Other uses of MD5 are short.

use std::ptr::{NonNull, null_mut};

use aws_lc_sys::{
    EVP_DigestFinal_ex, EVP_DigestInit_ex, EVP_DigestUpdate, EVP_MD_CTX, EVP_MD_CTX_free, EVP_MD_CTX_new,
    EVP_md5,
};

use super::StoreError;

/// MD5 of what passes.
pub(super) struct Digest(NonNull<EVP_MD_CTX>);

#[allow(unsafe_code)]
// SAFETY: the context belongs to nobody else and to no thread; it is plain memory.
unsafe impl Send for Digest {}

impl Digest {
    pub(super) fn new() -> Result<Self, StoreError> {
        #[allow(unsafe_code)]
        // SAFETY: it takes nothing, and gives a context of our own or null.
        let context = unsafe { EVP_MD_CTX_new() };
        let context = Self(NonNull::new(context).ok_or_else(failed)?);
        #[allow(unsafe_code)]
        // SAFETY: the context lives; the algorithm is a static of the library; null stands for its own implementation.
        let done = unsafe { EVP_DigestInit_ex(context.0.as_ptr(), EVP_md5(), null_mut()) };
        succeeded(done)?;
        Ok(context)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        #[allow(unsafe_code)]
        // SAFETY: the context lives, was initialised, and is ours alone; the bytes are read within their length.
        succeeded(unsafe { EVP_DigestUpdate(self.0.as_ptr(), bytes.as_ptr().cast(), bytes.len()) })
    }

    pub(super) fn finish(self) -> Result<[u8; 16], StoreError> {
        let mut digest = [0; 16];
        #[allow(unsafe_code)]
        // SAFETY: as above; of MD5 it writes sixteen bytes, and null says that nobody wants to know how many.
        succeeded(unsafe { EVP_DigestFinal_ex(self.0.as_ptr(), digest.as_mut_ptr(), null_mut()) })?;
        Ok(digest)
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        #[allow(unsafe_code)]
        // SAFETY: it was given by EVP_MD_CTX_new and is freed once.
        unsafe {
            EVP_MD_CTX_free(self.0.as_ptr());
        }
    }
}

fn succeeded(outcome: i32) -> Result<(), StoreError> {
    if outcome == 1 { Ok(()) } else { Err(failed()) }
}

/// There was no memory for the context: nothing else can go wrong.
fn failed() -> StoreError {
    StoreError::Failed("MD5 cannot be computed".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use md5::Digest as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_md5_however_the_bytes_come(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let mut digest = Digest::new().unwrap();
            for chunk in &chunks {
                digest.update(chunk).unwrap();
            }
            prop_assert_eq!(digest.finish().unwrap(), <[u8; 16]>::from(md5::Md5::digest(chunks.concat())));
        }
    }
}
