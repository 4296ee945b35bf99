//! Requests signed by strangers: whatever is presented is read without a panic, and no guess is a signature.
#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use storage::sigv4::{FormUpload, Presented, SignedRequest, decode_query, verify};

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (authorization, date, query, path) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in [("authorization", authorization), ("x-amz-date", date), ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    let query = decode_query(query);
    let _ = FormUpload::read(&query);
    if let Ok(Some(presented)) = Presented::read(&headers, &query) {
        let request = SignedRequest {
            method: "GET",
            paths: &SignedRequest::spellings(path),
            hosts: &["localhost".to_owned()],
            query: &query,
            headers: &headers,
        };
        assert!(verify(&presented, "a secret that is not in the input", &request, presented.time).is_err());
    }
});
