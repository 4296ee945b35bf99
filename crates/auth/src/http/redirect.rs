//! Where people may be sent, and the address that links in mails start with.

use std::net::IpAddr;

use super::{GoUrl, RequestContext};
use crate::config::Config;
use crate::glob;

/// The first allowed of: the request's `redirect_to`, its referrer, the site URL.
pub(crate) fn redirect_target(request: &RequestContext, config: &Config) -> String {
    let asked = match request.header("redirect_to") {
        "" => request.query.get("redirect_to"),
        header => header,
    };
    [asked, request.header("referer")]
        .into_iter()
        .find(|url| is_allowed(url, config))
        .unwrap_or(&config.site_url)
        .to_owned()
}

/// A target named in a body if it is allowed, else as [`redirect_target`].
pub(crate) fn redirect_target_or(named: &str, request: &RequestContext, config: &Config) -> String {
    if is_allowed(named, config) { named.to_owned() } else { redirect_target(request, config) }
}

/// The site's own host in any scheme, port and path; loopback addresses; what a glob matches whole.
pub(crate) fn is_allowed(url: &str, config: &Config) -> bool {
    if url.is_empty() {
        return false;
    }
    let Some(target) = GoUrl::parse(url) else { return false };
    if GoUrl::parse(&config.site_url).is_some_and(|site| is_same_place(&site, &target)) {
        return true;
    }
    let host = target.hostname();
    if !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit()) {
        // An IPv4 address written as one number.
        return false;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    config.uri_allow_list.iter().any(|pattern| glob::matches(pattern, url))
}

/// The same host; where the site has none (`myapp:/start`), the same scheme, or every address without a host would do.
fn is_same_place(site: &GoUrl, target: &GoUrl) -> bool {
    site.hostname() == target.hostname() && (!site.hostname().is_empty() || site.scheme() == target.scheme())
}

/// The external URL, or the forwarded host if links may carry it.
pub(crate) fn action_link_base(request: &RequestContext, config: &Config) -> String {
    let forwarded = request.header("x-forwarded-host");
    if !forwarded.is_empty() && config.mailer.external_hosts.iter().any(|host| host == forwarded) {
        let plain = forwarded == "localhost" && request.header("x-forwarded-proto") == "http";
        return format!("{}://{forwarded}", if plain { "http" } else { "https" });
    }
    config.external_url.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(url: &str) -> bool {
        let config = Config {
            site_url: "https://app.example.com/start".into(),
            uri_allow_list: vec!["https://*.preview.dev/**".into(), "myapp://callback".into()],
            ..Config::default()
        };
        is_allowed(url, &config)
    }

    #[test]
    fn the_sites_own_host_is_allowed_in_any_scheme_port_and_path() {
        assert!(allowed("http://app.example.com:3000/any?x=y"));
        assert!(!allowed("https://example.com/"));
        assert!(!allowed("https://app.example.com.evil.io/"));
        assert!(!allowed("https://app.example.com@evil.io/"));
    }

    #[test]
    fn a_host_that_browsers_read_otherwise_is_not_allowed() {
        assert!(!allowed(r"https://evil.io\@app.example.com/"));
        assert!(!allowed(r"https://evil\@a.preview.dev/"));
        assert!(!allowed(r"https:\\evil.io\@app.example.com/"));
    }

    #[test]
    fn a_site_without_a_host_allows_its_own_scheme_only() {
        let config = Config { site_url: "myapp:/start".into(), ..Config::default() };
        assert!(is_allowed("myapp:/elsewhere", &config));
        for url in ["https:evil.io", "///evil.io", r"/\evil.io", "javascript:alert(1)"] {
            assert!(!is_allowed(url, &config), "{url}");
        }
    }

    #[test]
    fn of_addresses_only_loopback_is_allowed() {
        assert!(allowed("http://127.0.0.1:5173/x"));
        assert!(allowed("http://[::1]/"));
        assert!(!allowed("http://10.0.0.1/"));
        assert!(!allowed("http://2130706433/"));
    }

    #[test]
    fn globs_match_the_whole_url() {
        assert!(allowed("https://a.preview.dev/x/y?z"));
        assert!(!allowed("https://a.b.preview.dev/x"));
        assert!(allowed("myapp://callback"));
        assert!(!allowed("myapp://callback/more"));
        assert!(!allowed(""));
        assert!(!allowed("javascript:alert(1)"));
    }
}
