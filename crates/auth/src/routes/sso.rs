//! `/sso…`: single sign-on by SAML, which this build does not have.

use crate::error::{Error, ErrorCode};

pub(super) async fn disabled() -> Error {
    Error::not_found(ErrorCode::SamlProviderDisabled, "SAML 2.0 is disabled")
}
