use reqwest::{Client, Url};

use ::http::HeaderMap;

use super::{Answer, Body};
use crate::{Addresses, Config, Error};

/// Sources on the web.
#[derive(Clone)]
pub(super) struct Http {
    client: Client,
    addresses: Addresses,
}

impl Http {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let addresses = config.addresses;
        let client = outgoing::guarded(addresses, config.max_redirects)
            .user_agent(config.user_agent.as_str())
            .tls_danger_accept_invalid_certs(config.ignore_ssl_verification)
            .pool_max_idle_per_host(config.concurrency)
            .build()
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self { client, addresses })
    }

    pub(super) async fn ask(&self, address: &str, headers: HeaderMap) -> Result<Answer, Error> {
        let url = Url::parse(address).map_err(|error| Error::unreachable(error.to_string()))?;
        if !self.addresses.allow_url(&url) {
            return Err(Error::failing("the source's address is not allowed"));
        }
        let sent = self.client.get(url).headers(headers).send().await;
        let response = sent.map_err(|error| Error::failing(error.without_url().to_string()))?;
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            length: response.content_length(),
            body: Body::Response(response),
        })
    }
}
