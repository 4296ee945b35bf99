//! Whose work the engine is, and under which licences it may be passed on.

use std::fs;

use crate::{Engine, pins};

/// A part of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its licence, as an SPDX expression.
    pub spdx: &'static str,
    /// Whose it is.
    pub copyright: &'static str,
    /// The licence texts, files in the engine's folder `licenses`.
    texts: &'static [&'static str],
}

/// The parts, in the order in which they are printed.
pub fn parts() -> Vec<Part> {
    let part = |name, version, spdx, copyright, texts| Part { name, version, spdx, copyright, texts };
    vec![
        part(
            "PostgreSQL",
            pins::postgres(),
            "PostgreSQL",
            "Portions Copyright (c) 1996-2026, PostgreSQL Global Development Group\n\
             Portions Copyright (c) 1994, The Regents of the University of California",
            &["PostgreSQL"],
        ),
        part(
            "pgvector",
            pins::pgvector(),
            "PostgreSQL",
            "Copyright (c) 2021-2026 Andrew Kane",
            &["PostgreSQL"],
        ),
        part(
            "OpenSSL",
            "1.1.1",
            "OpenSSL",
            "Copyright (c) 1998-2018 The OpenSSL Project\nCopyright (c) 1995-1998 Eric A. Young, Tim J. Hudson",
            &["OpenSSL"],
        ),
        part(
            "ICU",
            "60.2",
            "Unicode-DFS-2016",
            "Copyright (c) 1991-2018 Unicode, Inc.",
            &["Unicode-DFS-2016"],
        ),
        part("libxml2", "2.9.4", "MIT", "Copyright (c) 1998-2012 Daniel Veillard", &["MIT"]),
        part("libxslt", "1.1", "MIT", "Copyright (c) 2001-2002 Daniel Veillard", &["MIT"]),
        part(
            "OSSP uuid",
            "1.6.2",
            "ISC",
            "Copyright (c) 2004-2008 Ralf S. Engelschall\nCopyright (c) 2004-2008 The OSSP Project",
            &["ISC"],
        ),
        part("zlib", "1.2.11", "Zlib", "Copyright (c) 1995-2017 Jean-loup Gailly and Mark Adler", &["Zlib"]),
        part("XZ Utils (liblzma)", "5.2.2", "LicenseRef-public-domain", "In the public domain", &[]),
        part(
            "GCC runtime (libstdc++, libgcc_s)",
            "12",
            "GPL-3.0-or-later WITH GCC-exception-3.1",
            "Copyright (c) Free Software Foundation, Inc.",
            &["GCC-exception-3.1", "GPL-3.0-or-later"],
        ),
    ]
}

impl Part {
    /// Copyright and licence in full; `None` when the engine was assembled without its texts.
    pub fn text(&self, engine: &Engine) -> Option<String> {
        let mut text = self.copyright.to_owned();
        for name in self.texts {
            let path = engine.folder().join("licenses").join(format!("{name}.txt"));
            text.push_str("\n\n");
            text.push_str(fs::read_to_string(path).ok()?.trim_end());
        }
        Some(text)
    }
}
