//! What a request becomes is in proportion to it: a short URL must not make a long statement.

mod common;

use rest::Error;

/// As many pieces as fit into the longest URL that the front door lets through.
fn fill(piece: impl Fn(usize) -> String, separator: &str, bytes: usize) -> String {
    let mut text = String::new();
    for at in 0.. {
        let next = piece(at);
        if text.len() + next.len() + separator.len() > bytes {
            break;
        }
        if at > 0 {
            text.push_str(separator);
        }
        text.push_str(&next);
    }
    text
}

fn nested(levels: usize, open: &str, inside: &str) -> String {
    format!("{}{inside}{}", open.repeat(levels), ")".repeat(open.matches('(').count() * levels))
}

/// The most SQL that a character of a request may become: `,a:b(c)` is an embed with its join.
const MOST_FOR_A_BYTE: usize = 64;

#[test]
fn no_request_becomes_a_statement_out_of_proportion() {
    const MOST: usize = 62_000;
    let id = |_: usize| "id".to_owned();
    let columns = |count: usize| vec!["id"; count].join(",");
    let queries = [
        // A column that is handed up through many levels.
        format!("select={}", nested(45, "...clients(...projects(", &fill(id, ",", 55_000))),
        format!("select={}", nested(45, "...clients(...projects(", &columns(1600))),
        format!("select={}", vec![nested(45, "...clients(...projects(", &columns(1600)); 8].join(",")),
        format!("select={}", nested(45, "...tasks(...projects(", &columns(1600))),
        // An order for each of many columns.
        format!("select=...tasks({})&tasks.order={}", columns(800), fill(id, ",", 50_000)),
        // An embed that is written out wherever it is asked for.
        format!(
            "select=c:clients({})&{}",
            fill(|at| format!("p{at}:projects!inner(tasks!inner(id))"), ",", 30_000),
            fill(|_| "c=is.null".to_owned(), "&", 30_000)
        ),
        format!(
            "select=c:clients(p:projects(id))&c.or=({})&or=({})",
            fill(|_| "p.is.null".to_owned(), ",", 30_000),
            fill(|_| "c.is.null".to_owned(), ",", 30_000)
        ),
        // What is merely long.
        format!("select={}", fill(|at| format!("c{at}:clients(id)"), ",", MOST)),
        format!("select={}", fill(id, ",", MOST)),
        format!("select=*,tasks(*)&{}", fill(|_| "tasks.id=eq.1".to_owned(), "&", MOST)),
        format!("or=({})", fill(|_| "id.eq.1".to_owned(), ",", MOST)),
        format!("order={}", fill(id, ",", MOST)),
        format!("select={}", fill(|at| format!("id->a->b->>c{at}"), ",", MOST)),
    ];
    for query in &queries {
        let line = format!("GET /projects?{}", query.replace('>', "%3E"));
        let prefer = [("prefer", "count=exact")];
        match common::statement(&line, &prefer, "", &common::catalog(), &common::config()) {
            Ok(sql) => {
                assert!(
                    sql.len() < MOST_FOR_A_BYTE * line.len(),
                    "{} of {}: {:.90}",
                    sql.len(),
                    line.len(),
                    query
                );
            }
            Err(Error::TooManyColumns | Error::TooComplex) => {}
            Err(error) => panic!("{query:.90}: {error:?}"),
        }
    }
}

#[test]
fn too_many_columns_are_refused_in_the_words_of_the_database() {
    let many = vec!["id"; 1665].join(",");
    let answer = common::sql(&format!("GET /projects?select=...clients({many})"), &[], "");
    assert_eq!(answer, "500 Internal Server Error TooManyColumns");
    let enough = vec!["id"; 1664].join(",");
    assert!(common::sql(&format!("GET /projects?select=...clients({enough})"), &[], "").starts_with("WITH"));
}
