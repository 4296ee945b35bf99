//! The self-signed certificate of the TCP port. Clients of the field refuse a server without TLS.

use std::{fs, path::Path};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, date_time_ymd};

use crate::{Error, identity::Identity, tree};

pub(crate) const CERTIFICATE: &str = "server.crt";
pub(crate) const KEY: &str = "server.key";

/// Makes certificate and key in the data directory unless both are there. Nothing checks its names (it is signed by
/// nobody), so it lasts as long as the data.
pub(crate) fn ensure(data: &Path, identity: &Identity) -> Result<(), Error> {
    let (certificate, key) = (data.join(CERTIFICATE), data.join(KEY));
    if exists(&certificate)? && exists(&key)? {
        return Ok(());
    }
    let (certificate_pem, key_pem) = make().map_err(|error| Error::Certificate(error.to_string()))?;
    tree::write_private(&key, &key_pem, Some(identity))?;
    tree::write_private(&certificate, &certificate_pem, Some(identity))
}

fn exists(path: &Path) -> Result<bool, Error> {
    fs::exists(path).map_err(|source| Error::io("cannot read", path, source))
}

fn make() -> Result<(String, String), rcgen::Error> {
    let mut params =
        CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "monobase development database");
    params.not_before = date_time_ymd(2024, 1, 1);
    // The last year that the certificate's short form of dates can say.
    params.not_after = date_time_ymd(2049, 12, 31);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
