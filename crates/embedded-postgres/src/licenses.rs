//! Whose work the engine is.

use std::fs;

use crate::Engine;

/// A part of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its licence, as an SPDX expression.
    pub spdx: &'static str,
    /// The file with its licence in the engine's folder `licenses`.
    file: &'static str,
}

/// The parts, in the order in which they are printed.
pub fn parts() -> Vec<Part> {
    let part = |name, version, spdx, file| Part { name, version, spdx, file };
    vec![
        part("PostgreSQL", crate::pins::postgres(), "PostgreSQL", "postgresql.txt"),
        part("pgvector", crate::pins::pgvector(), "PostgreSQL", "pgvector.txt"),
        part("OpenSSL", "1.1.1", "OpenSSL", "openssl.txt"),
        part("ICU", "60.2", "Unicode-DFS-2016", "icu.txt"),
        part("libxml2", "2", "MIT", "libxml2.txt"),
        part("libxslt", "1", "MIT", "libxslt.txt"),
        part("OSSP uuid", "1.6.2", "MIT", "ossp-uuid.txt"),
        part("zlib", "1", "Zlib", "zlib.txt"),
        part("XZ Utils (liblzma)", "5", "0BSD", "xz.txt"),
        part(
            "GCC runtime (libstdc++, libgcc_s)",
            "12",
            "GPL-3.0-or-later WITH GCC-exception-3.1",
            "gcc-runtime.txt",
        ),
    ]
}

impl Part {
    /// The text of its licence, which travels with the engine; `None` when the engine was assembled without.
    pub fn text(&self, engine: &Engine) -> Option<String> {
        fs::read_to_string(engine.folder().join("licenses").join(self.file)).ok()
    }
}
