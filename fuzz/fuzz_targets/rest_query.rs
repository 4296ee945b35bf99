//! The query string of a request to a table (first byte even) or a function (odd).
#![no_main]

use libfuzzer_sys::fuzz_target;
use rest::parse::query::Query;

fuzz_target!(|input: (bool, &str)| {
    let (arguments, raw) = input;
    if let Ok(query) = Query::parse(raw, arguments) {
        // The same text means the same.
        assert_eq!(
            format!("{query:?}"),
            format!("{:?}", Query::parse(raw, arguments).expect("it was understood"))
        );
    }
});
