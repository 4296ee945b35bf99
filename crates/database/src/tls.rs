//! TLS as libpq's `sslmode` wants it, on rustls.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ConnectConfig, SslMode, SslNegotiation, SslRoots};
use crate::der::{self, SignatureDigest};
use crate::error::Error;

fn failed(what: impl std::fmt::Display) -> Error {
    Error::Tls(what.to_string().into())
}

/// What the handshakes of one configuration need. Reading certificate files blocks, so it is made once a connect.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
}

impl Tls {
    /// Reads the certificates that `config` names.
    pub(crate) async fn load(config: &ConnectConfig) -> Result<Tls, Error> {
        let config = config.clone();
        tokio::task::spawn_blocking(move || Self::load_blocking(&config)).await.map_err(failed)?
    }

    fn load_blocking(config: &ConnectConfig) -> Result<Tls, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // As libpq: a root certificate that is there turns `require` into `verify-ca`.
        let named_roots = matches!(config.ssl_roots, SslRoots::File(_));
        let check = match config.ssl_mode {
            SslMode::VerifyFull => Check::Name,
            SslMode::VerifyCa => Check::Authority,
            SslMode::Require if named_roots => Check::Authority,
            _ => Check::Nothing,
        };
        let chain =
            if check == Check::Nothing { None } else { Some(Chain::load(&config.ssl_roots, &provider)?) };
        let verifier = Arc::new(Verifier { check, chain, provider: provider.clone() });
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut client = match (&config.ssl_certificate, &config.ssl_key) {
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
                builder.with_client_auth_cert(certificates(certificate)?, key).map_err(failed)?
            }
            _ => builder.with_no_client_auth(),
        };
        client.enable_sni = config.ssl_sni;
        if config.ssl_negotiation == SslNegotiation::Direct {
            client.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(Tls { connector: TlsConnector::from(Arc::new(client)) })
    }

    pub(crate) async fn handshake(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| failed(format!("\"{name}\" is no host name")))?;
        self.connector.connect(name, stream).await.map_err(failed)
    }
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Error {
    failed(format!("cannot read {}: {error}", path.display()))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(path, error))?;
    if certificates.is_empty() {
        return Err(failed(format!("{} contains no certificate", path.display())));
    }
    Ok(certificates)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Any certificate: TLS protects from listeners, not from impostors.
    Nothing,
    /// One from a trusted authority, whatever name is in it.
    Authority,
    /// One from a trusted authority for this host.
    Name,
}

#[derive(Debug)]
struct Chain {
    verifier: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Chain {
    fn load(roots: &SslRoots, provider: &Arc<CryptoProvider>) -> Result<Chain, Error> {
        let certificates = match roots {
            SslRoots::File(path) => certificates(path)?,
            SslRoots::System | SslRoots::Default => {
                let loaded = rustls_native_certs::load_native_certs();
                if loaded.certs.is_empty() {
                    let reasons: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
                    return Err(failed(format!(
                        "the system has no trusted certificates ({}): name a file with sslrootcert",
                        reasons.join("; ")
                    )));
                }
                loaded.certs
            }
        };
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(failed("none of the trusted certificates can be used"));
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(failed)?;
        Ok(Chain { verifier, roots: certificates })
    }

    /// Whether the server shows a certificate that is itself one of the roots. Self-signed servers are set up that
    /// way (`sslrootcert=server.crt`), and libpq takes them, though path building would refuse an authority's
    /// certificate in a server's place.
    fn is_pinned(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
        self.roots.iter().any(|root| root.as_ref() == certificate.as_ref())
            && der::validity(certificate).is_some_and(|(from, to)| from <= now && now <= to)
    }
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    chain: Option<Chain>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        if chain.is_pinned(certificate, now) {
            if self.check == Check::Name {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chain.verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            // The name is checked last: this says that the chain was good.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Authority => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The data that binds SCRAM to this TLS channel: the digest of the server's certificate.
pub(crate) fn server_end_point(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let algorithm = match der::signature_digest(certificate)? {
        SignatureDigest::Sha256 => &digest::SHA256,
        SignatureDigest::Sha384 => &digest::SHA384,
        SignatureDigest::Sha512 => &digest::SHA512,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}
