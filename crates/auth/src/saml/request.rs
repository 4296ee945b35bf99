//! The question to a provider: who is this? It travels in the address that a browser is sent to.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};

use super::service_provider::ServiceProvider;
use super::{binding, format, ns, time};
use crate::http::escape_query;

/// How we sign. GoTrue still uses SHA-1 here; providers read either.
const SIGNATURE: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
/// The best and slowest of deflate's levels: an address should be short.
const LEVEL: u8 = 9;

/// A request that has its id.
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) issued_at: DateTime<Utc>,
    /// The format of the name that we ask for.
    pub(crate) name_id_format: String,
}

impl Request {
    pub(crate) fn new(name_id_format: Option<&str>) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let mut id = [0; 20];
        aws_lc_rs::rand::SecureRandom::fill(&random, &mut id)
            .expect("invariant: the system has random numbers");
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            id: format!("id-{id}"),
            issued_at: Utc::now(),
            name_id_format: name_id_format.unwrap_or(format::PERSISTENT).to_owned(),
        }
    }

    fn xml(&self, service: &ServiceProvider, destination: &str) -> String {
        let value = escape_xml;
        format!(
            "<samlp:AuthnRequest xmlns:saml=\"{}\" xmlns:samlp=\"{}\" ID=\"{}\" Version=\"2.0\" IssueInstant=\"{}\" \
             Destination=\"{}\" AssertionConsumerServiceURL=\"{}\" ProtocolBinding=\"{}\">\
             <saml:Issuer Format=\"{}\">{}</saml:Issuer>\
             <samlp:NameIDPolicy Format=\"{}\" AllowCreate=\"true\"/></samlp:AuthnRequest>",
            ns::ASSERTION,
            ns::PROTOCOL,
            self.id,
            time::written(self.issued_at),
            value(destination),
            value(&service.acs_url),
            binding::POST,
            format::ENTITY,
            value(&service.entity_id),
            value(&self.name_id_format),
        )
    }

    /// The address to send a browser to. `None` if we cannot sign.
    pub(crate) fn url(
        &self,
        service: &ServiceProvider,
        sign_in_url: &str,
        relay_state: &str,
    ) -> Option<String> {
        let packed = miniz_oxide::deflate::compress_to_vec(self.xml(service, sign_in_url).as_bytes(), LEVEL);
        let signed = format!(
            "SAMLRequest={}&RelayState={}&SigAlg={}",
            escape_query(&BASE64_STANDARD.encode(packed)),
            escape_query(relay_state),
            escape_query(SIGNATURE)
        );
        let signature = escape_query(&BASE64_STANDARD.encode(service.sign(signed.as_bytes())?));
        let url = sign_in_url.split('#').next().unwrap_or_default();
        let joint = if url.contains('?') { '&' } else { '?' };
        Some(format!("{url}{joint}{signed}&Signature={signature}"))
    }
}

/// A text as an attribute's value or between tags.
pub(super) fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
