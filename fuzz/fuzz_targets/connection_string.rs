//! Connection strings in both forms: whatever is accepted is written as a URL that means the same, and never shows the password.
#![no_main]

use database::ConnectConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(config) = ConnectConfig::parse_with(text, |_| None) else { return };
    let url = config.to_url();
    let again = ConnectConfig::parse_with(&url, |_| None).expect("our own URL is understood");
    assert_eq!(again.hosts(), config.hosts());
    assert_eq!(again.user(), config.user());
    assert_eq!(again.password(), config.password());
    assert_eq!(again.database(), config.database());
    assert_eq!(again.to_url(), url);
    if let Some(password) = config.password().filter(|password| password.len() > 12) {
        let elsewhere = [config.user(), config.database()].iter().any(|part| part.contains(password))
            || config.hosts().iter().any(|host| format!("{host:?}").contains(password));
        assert!(elsewhere || !config.to_string().contains(password), "the password is shown");
    }
});
