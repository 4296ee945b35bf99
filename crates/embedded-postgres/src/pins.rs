//! What the engine is made of, read from `engine.lock`, the file that `scripts/engine` assembles it by.

const LOCK: &str = include_str!("../engine.lock");

/// The value of a `key value` line.
fn pin(key: &str) -> &'static str {
    LOCK.lines()
        .map(str::split_whitespace)
        .find_map(|mut words| (words.next() == Some(key)).then(|| words.next()).flatten())
        .unwrap_or_default()
}

/// PostgreSQL's version, such as `18.4`.
pub(crate) fn postgres() -> &'static str {
    pin("postgres")
}

/// pgvector's version.
pub(crate) fn pgvector() -> &'static str {
    pin("pgvector")
}

/// Names the engine and its folder in the cache: version, recipe, architecture.
pub(crate) fn engine_id() -> String {
    format!("{}-{}-{}", postgres(), pin("recipe"), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_names_versions_and_this_architecture() {
        assert!(postgres().starts_with("18."));
        assert!(!pgvector().is_empty());
        assert!(!pin("recipe").is_empty());
        assert!(!pin(std::env::consts::ARCH).is_empty(), "no engine is pinned for this architecture");
    }
}
