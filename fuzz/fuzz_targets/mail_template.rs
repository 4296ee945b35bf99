//! A mail template with a value of a user's in it: whatever the two say, the value stays in its place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (template, value) = input;
    let Ok(template) = mail::Template::parse(template) else { return };
    let data = serde_json::json!({"Email": value, "Data": {"name": value, "list": [value, 1, null]}});
    let _ = template.html(&data);
    let _ = template.text(&data);
});
