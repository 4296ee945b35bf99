//! Hashing on threads of its own, so many at a time and no more.
//!
//! A hash takes tens of milliseconds of a core. A storm of sign-ins therefore waits here, not on the
//! threads that answer everything else, and is bounded by the request's time limit.

use std::thread::available_parallelism;

use bcrypt::{BcryptError, Version};

use super::foreign::Foreign;
use super::threads::Threads;
use crate::error::{Cause, Error, Result};

/// A well-formed hash of cost 10 that no password has: what is compared when there is no user.
const NOBODY: &str = "$2a$10$7EqJtq98hPqEX7fNZaFWoOePaWxn96p36WQoeG6Lruj3vjPGga31W";

/// Computes and compares hashes.
#[derive(Clone)]
pub(crate) struct Hasher {
    cost: u32,
    threads: Threads,
}

impl Hasher {
    /// `parallel` hashes at a time; one per core if none is given.
    pub(crate) fn new(cost: u32, parallel: Option<usize>) -> Self {
        let parallel = parallel.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)).max(1);
        Self { cost, threads: Threads::start(parallel) }
    }

    /// A new hash, with the prefix that the original writes.
    pub(crate) async fn hash(&self, password: String) -> Result<String> {
        let cost = self.cost;
        let hashed = self.run(move || bcrypt::hash_with_result(password, cost)).await?;
        Ok(hashed.map_err(broken)?.format_for_version(Version::TwoA))
    }

    /// Whether a password has a hash. A hash of a kind nobody knows is an error.
    pub(crate) async fn verify(&self, password: String, hash: String) -> Result<bool> {
        match Foreign::parse(&hash) {
            None => self.run(move || bcrypt::verify(password, &hash)).await?.map_err(broken),
            Some(Ok(foreign)) => self.run(move || foreign.verify(&password)).await?.map_err(unusable),
            Some(Err(reason)) => Err(unusable(reason)),
        }
    }

    /// Takes as long as [`Hasher::verify`]: an answer must not tell whether there is a user.
    pub(crate) async fn pretend(&self, password: String) -> Result<()> {
        self.verify(password, NOBODY.to_owned()).await.map(|_| ())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let done = self.threads.run(work);
        done.await.ok_or_else(|| Error::Unexpected(Cause::Other("hashing failed".into())))
    }
}

/// Refuses a hash that an administrator brings along and that could never be verified.
pub(crate) fn check_foreign_hash(hash: &str) -> Result<(), String> {
    match Foreign::parse(hash) {
        Some(parsed) => parsed.map(|_| ()),
        None => hash.parse::<bcrypt::HashParts>().map(|_| ()).map_err(|error| error.to_string()),
    }
}

fn unusable(reason: String) -> Error {
    Error::Unexpected(Cause::Other(reason.into()))
}

fn broken(error: BcryptError) -> Error {
    Error::Unexpected(Cause::Other(error.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_hash_fits_its_password_only() {
        let hasher = Hasher::new(4, Some(1));
        let hash = hasher.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$2a$04$") && hash.len() == 60);
        assert!(hasher.verify("correct horse".into(), hash.clone()).await.unwrap());
        assert!(!hasher.verify("correct hors".into(), hash).await.unwrap());
    }

    #[tokio::test]
    async fn the_hash_of_nobody_is_well_formed_and_fits_nothing() {
        let hasher = Hasher::new(4, Some(1));
        assert!(!hasher.verify(String::new(), NOBODY.into()).await.unwrap());
        hasher.pretend("anything".into()).await.unwrap();
    }

    #[tokio::test]
    async fn hashes_of_other_bcrypt_versions_verify() {
        let hasher = Hasher::new(4, Some(1));
        let hash = bcrypt::hash_with_result("x", 4).unwrap();
        for version in [Version::TwoA, Version::TwoB, Version::TwoX, Version::TwoY] {
            assert!(hasher.verify("x".into(), hash.format_for_version(version)).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_password_with_a_nul_byte_is_a_password() {
        let hasher = Hasher::new(4, Some(1));
        let hash = hasher.hash("a\0b".into()).await.unwrap();
        assert!(hasher.verify("a\0b".into(), hash.clone()).await.unwrap());
        assert!(!hasher.verify("a\0c".into(), hash).await.unwrap());
    }

    #[test]
    fn foreign_hashes_must_be_of_a_known_kind() {
        assert!(check_foreign_hash(NOBODY).is_ok());
        assert!(check_foreign_hash("plain").is_err());
        assert!(check_foreign_hash("").is_err());
    }

    #[tokio::test]
    async fn no_more_hashes_run_than_allowed() {
        let hasher = Hasher::new(4, Some(2));
        let running = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let tasks: Vec<_> = (0..12)
            .map(|_| {
                let (hasher, running, most) = (hasher.clone(), running.clone(), most.clone());
                tokio::spawn(async move {
                    hasher
                        .run(move || {
                            use std::sync::atomic::Ordering::SeqCst;
                            most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                            std::thread::sleep(std::time::Duration::from_millis(5));
                            running.fetch_sub(1, SeqCst);
                        })
                        .await
                        .unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.load(std::sync::atomic::Ordering::SeqCst), 2);
    }
}
