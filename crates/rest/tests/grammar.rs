//! The query string: what is accepted, how refusals are worded, and that nothing a stranger sends takes long or panics.

mod common;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rest::Error;
use rest::parse::ast::{Field, JsonKey, JsonStep, Operation, QuantOperator, SelectItem};
use rest::parse::query::Query;
use rstest::rstest;

fn parse(query: &str) -> Query {
    match Query::parse(query, false) {
        Ok(query) => query,
        Err(error) => panic!("{query}: {error:?}"),
    }
}

#[rstest]
#[case("id=nope.1", 1, r#"unexpected "p" expecting "not" or operator (eq, gt, ...)"#)]
#[case("id=val", 1, r#"unexpected "v" expecting "not" or operator (eq, gt, ...)"#)]
#[case("id=in.1,2", 4, r#"unexpected "1" expecting "(""#)]
#[case("order=id.asc.nullslasttt", 17, r#"unexpected 't' expecting "," or end of input"#)]
#[case("columns=", 1, "unexpected end of input expecting field name (* or [a..z0..9_$])")]
#[case(
    "or=()",
    4,
    r#"unexpected ")" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)"#
)]
#[case(
    "select=id,",
    4,
    r#"unexpected end of input expecting "...", field name (* or [a..z0..9_$]), "*" or "count()""#
)]
#[case(
    "select=name!hint",
    5,
    r#"unexpected '!' expecting letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input"#
)]
#[case("select=id.foo()", 4, r#"unexpected "f" expecting "sum", "avg", "count", "max" or "min""#)]
#[case(
    "select=id::text[]",
    9,
    r#"unexpected '[' expecting letter, digit, ".", "::", ")", "," or end of input"#
)]
#[case("id=is.nul", 7, "unexpected end of input expecting isVal: (null, not_null, true, false, unknown)")]
#[case(
    "order=cl(x).up",
    3,
    r#"unexpected '(' expecting letter, digit, "-", "->>", "->", delimiter (.), "," or end of input"#
)]
#[case("order=a-b:", 4, r#"unexpected ':' expecting "-", "->>", "->", delimiter (.), "," or end of input"#)]
#[case("id=like(an).x", 6, r#"unexpected "n" expecting operator (eq, gt, ...)"#)]
#[case("id=in.(1,2", 8, r#"unexpected end of input expecting "," or ")""#)]
#[case("columns=a--b", 3, r#"unexpected "-" expecting ">", letter or digit"#)]
#[case("select=a:}", 3, r#"unexpected "}" expecting ":" or field name (* or [a..z0..9_$])"#)]
#[case(r#"columns="a"#, 3, r#"unexpected end of input expecting "\\" or "\"""#)]
#[case("select=data->>--34", 9, r#"unexpected "-" expecting digit"#)]
#[case("select=data->>-78xy", 11, r#"unexpected 'x' expecting digit, "->", "::", ".", "," or end of input"#)]
fn refusals_are_worded_as_postgrest_words_them(
    #[case] query: &str,
    #[case] column: usize,
    #[case] report: &str,
) {
    let Err(Error::QuerySyntax { message, details }) = Query::parse(query, false) else {
        panic!("{query} was accepted");
    };
    assert_eq!(details, report);
    assert!(message.ends_with(&format!("(line 1, column {column})")), "{message}");
}

#[rstest]
#[case("select=,id")]
#[case("select=*!hint")]
#[case("select=clients(*))")]
#[case("id=in.(1,2)x")]
#[case("and=(a.eq.1))")]
#[case("a,b=eq.1")]
#[case("id=is.nullx")]
#[case("or=id.eq.1")]
fn what_postgrest_lets_pass_passes(#[case] query: &str) {
    parse(query);
}

#[test]
fn keys_lead_to_json() {
    let query = parse("clients.data->a->>-1=eq.x");
    let (path, filter) = &query.filters[0];
    assert_eq!(path, &["clients"]);
    assert_eq!(
        filter.field,
        Field {
            name: "data".into(),
            path: vec![
                JsonStep::Json(JsonKey::Name("a".into())),
                JsonStep::Text(JsonKey::Index("-1".into())),
            ],
        }
    );
    assert_eq!(filter.condition.operation, Operation::Quant(QuantOperator::Equal, None, "x".into()));
}

#[test]
fn arguments_of_a_function_are_what_is_no_condition() {
    let query = Query::parse("a=1&b=eq.2&c=not", true);
    let Ok(query) = query else { panic!("refused") };
    assert_eq!(query.arguments, [("a".into(), "1".into()), ("c".into(), "not".into())]);
    assert_eq!(query.filters.len(), 1);
    assert!(Query::parse("a=in.x", true).is_err());
}

#[test]
fn canonical_form_sorts_and_merges() {
    assert_eq!(parse("b=eq.1&a=eq.x y&b=eq.2").canonical, "a=eq.x%20y&b=eq.1,eq.2");
    assert_eq!(parse("a=eq.é").canonical, "a=eq.%C3%83%C2%A9");
}

#[test]
fn nesting_is_bounded() {
    for (open, close, key) in [("a(", ")", "select="), ("and(", ")", "and=(")] {
        let deep = |levels: usize| format!("{key}{}{}", open.repeat(levels), close.repeat(levels));
        let _ = Query::parse(&deep(90), false);
        assert!(Query::parse(&deep(100_000), false).is_err());
    }
    let SelectItem::Embed(embed) = &parse("select=a(b(c))").select[0] else { panic!("no embed") };
    assert_eq!(embed.select.len(), 1);
}

/// Read in one pass, a text of this length takes milliseconds; read in as many passes as it has pieces, minutes.
#[test]
fn time_grows_with_length_only() {
    let pieces = [
        "a(", "and(", "\"", "\\\"", "{", "{a,", "->", "->>", "...", "not.", "a.", "a-", "!", "!inner", "::",
        "(", ",", "'", "%22", "a,", "\"a\",", "eq.", "1",
    ];
    for prefix in ["select=", "and=(", "order=", "id=in.(", "columns=", ""] {
        for piece in pieces {
            let text = format!("{prefix}{}", piece.repeat(40_000));
            let began = Instant::now();
            let _ = Query::parse(&text, false);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{prefix}{piece}… took {took:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_query_is_answered(text in ".{0,200}", arguments: bool) {
        let _ = Query::parse(&text, arguments);
    }

    #[test]
    fn any_likely_query_is_answered(
        text in r#"(select|order|and|or|columns|limit|id|a\.b)=([a-z*]|[(),.:!"{}-]|->|->>|not\.|eq\.|in\.|is\.|::|\.\.\.|%[0-9a-f]{2}|\+| ){0,40}"#,
    ) {
        let _ = Query::parse(&text, true);
    }

    #[test]
    fn values_arrive_as_they_were_sent(value in "[^\0]{0,40}") {
        let encoded = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
        let query = parse(&format!("a=eq.{encoded}"));
        let (_, filter) = &query.filters[0];
        prop_assert_eq!(
            &filter.condition.operation,
            &Operation::Quant(QuantOperator::Equal, None, value)
        );
    }

    #[test]
    fn quoted_names_arrive_as_they_were_sent(name in r#"[a-z"\\., ()!:-]{1,20}"#) {
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let encoded = percent_encoding::utf8_percent_encode(&quoted, percent_encoding::NON_ALPHANUMERIC);
        let query = parse(&format!("select={encoded}"));
        let SelectItem::Field(field) = &query.select[0] else { panic!("no field") };
        prop_assert_eq!(&field.field.name, &name);
    }

    /// Whatever is sent as a value, an alias, a column or a JSON key, the text of the statement outside of quoted
    /// identifiers is what it is for a harmless one: nothing can leave its place.
    #[test]
    fn nothing_sent_becomes_sql(evil in r#"[a-z'"\\;$()*/ -]{1,24}"#) {
        // A column of that name means every column, as it does in PostgREST.
        prop_assume!(evil != "*");
        let name = format!("\"{}\"", evil.replace('\\', "\\\\").replace('"', "\\\""));
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let line = |name: &str, value: &str| {
            format!(
                "GET /projects?select={n}:{n},data->{n}&{n}=eq.{v}&and=(name.eq.{q})&order={n}",
                n = encode(name), v = encode(value), q = encode(name),
            )
        };
        let harmless = common::sql(&line("\"x\"", "x"), &[], "");
        let sent = common::sql(&line(&name, &evil), &[], "");
        prop_assert_eq!(outside_of_names(&sent), outside_of_names(&harmless));
    }
}

/// The statement without what is between double quotes, and without the parameters.
fn outside_of_names(text: &str) -> String {
    let statement = text.split("\n$1: ").next().unwrap_or_default();
    let mut outside = String::new();
    let mut inside = false;
    let mut rest = statement.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, inside) {
            ('"', true) if rest.peek() == Some(&'"') => {
                rest.next();
            }
            ('"', _) => inside = !inside,
            (c, false) => outside.push(c),
            (_, true) => {}
        }
    }
    outside
}
