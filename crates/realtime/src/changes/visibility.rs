//! Who may see which rows: row level security, asked once for each distinct set of claims.
//!
//! Every question is a transaction of its own under the role and the claims of one user. Two users never share a
//! statement: what a policy computes once a statement, `(select auth.uid())`, would be the first user's for both. The
//! statement is prepared once a connection and role; its parameter is a whole batch of keys.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use database::ident::quote_ident;
use database::{Error, Param, PipelinedRequest, Pool, RequestContext, Statement};
use futures_util::future::join_all;

use super::index::Claims;
use super::table::{Table, array_literal};

/// Keys of rows, ready to be sent. Shared by all who are asked about the same rows.
#[derive(Debug)]
pub(crate) struct Keys {
    sql: Arc<str>,
    params: Vec<KeyParam>,
    /// The number of the key that an answer names.
    numbers: Numbers,
    count: usize,
}

#[derive(Debug)]
enum KeyParam {
    Text(String),
    Binary { oid: u32, bytes: BytesMut },
}

#[derive(Debug)]
enum Numbers {
    /// Answers are the keys themselves.
    ByText(HashMap<Box<str>, u32>),
    /// Answers are numbers from 1.
    Given,
}

/// How keys of one column travel in binary form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Simple {
    Int2,
    Int4,
    Int8,
    Uuid,
    Text,
}

impl Simple {
    /// Types whose text names a value in one way only, so that an answer is found by it.
    fn of(type_oid: u32) -> Option<Self> {
        Some(match type_oid {
            21 => Simple::Int2,
            23 => Simple::Int4,
            20 => Simple::Int8,
            2950 => Simple::Uuid,
            25 | 1043 => Simple::Text,
            _ => return None,
        })
    }

    fn oids(self) -> (u32, u32) {
        match self {
            Simple::Int2 => (21, 1005),
            Simple::Int4 => (23, 1007),
            Simple::Int8 => (20, 1016),
            Simple::Uuid => (2950, 2951),
            Simple::Text => (25, 1009),
        }
    }

    /// Appends an element with its length. `None` when the text is no such value.
    fn put(self, text: &str, out: &mut BytesMut) -> Option<()> {
        match self {
            Simple::Int2 => {
                out.put_i32(2);
                out.put_i16(text.parse().ok()?);
            }
            Simple::Int4 => {
                out.put_i32(4);
                out.put_i32(text.parse().ok()?);
            }
            Simple::Int8 => {
                out.put_i32(8);
                out.put_i64(text.parse().ok()?);
            }
            Simple::Uuid => {
                let digits: Vec<u32> = text
                    .chars()
                    .filter(|character| *character != '-')
                    .map(|digit| digit.to_digit(16))
                    .collect::<Option<_>>()?;
                if digits.len() != 32 {
                    return None;
                }
                out.put_i32(16);
                digits.chunks(2).for_each(|pair| out.put_u8((pair[0] << 4 | pair[1]) as u8));
            }
            Simple::Text => {
                out.put_i32(i32::try_from(text.len()).ok()?);
                out.put_slice(text.as_bytes());
            }
        }
        Some(())
    }
}

impl Keys {
    /// Keys of `table`, each the texts of its key columns in their order.
    pub(crate) fn new(table: &Table, keys: &[Vec<&str>]) -> Keys {
        let columns: Vec<_> = table.key().collect();
        if let [column] = columns.as_slice()
            && let Some(simple) = Simple::of(column.type_oid)
            && let Some(bytes) = binary_array(simple, keys)
        {
            let name = quote_ident(&column.name);
            let texts = keys.iter().zip(0..).map(|(key, number)| (Box::from(key[0]), number)).collect();
            return Keys {
                sql: format!("select {name}::text from {} where {name} = any ($1)", table.sql()).into(),
                params: vec![KeyParam::Binary { oid: simple.oids().1, bytes }],
                numbers: Numbers::ByText(texts),
                count: keys.len(),
            };
        }
        // Any other key is told as text, and answered by its number.
        let names: Vec<String> = (1..=columns.len()).map(|number| format!("k{number}")).collect();
        let conditions: Vec<String> = columns
            .iter()
            .zip(&names)
            .map(|(column, name)| {
                let type_name = table.type_of(column.type_oid).map_or("text", |info| &*info.sql);
                format!("t.{} = k.{name}::{type_name}", quote_ident(&column.name))
            })
            .collect();
        let arrays: Vec<String> =
            (1..=columns.len()).map(|number| format!("pg_catalog.unnest(${number}::text[])")).collect();
        let sql = format!(
            "select k.number from rows from ({}) with ordinality k ({}, number) \
             where exists (select from {} t where {})",
            arrays.join(", "),
            names.join(", "),
            table.sql(),
            conditions.join(" and ")
        );
        let params = (0..columns.len())
            .map(|at| KeyParam::Text(array_literal(keys.iter().map(|key| key.get(at).copied()))))
            .collect();
        Keys { sql: sql.into(), params, numbers: Numbers::Given, count: keys.len() }
    }

    fn params(&self) -> Vec<Param<'_>> {
        fn param(param: &KeyParam) -> Param<'_> {
            match param {
                KeyParam::Text(text) => Param::Text(text),
                KeyParam::Binary { oid, bytes } => {
                    Param::Typed { oid: *oid, binary: true, bytes: Some(bytes) }
                }
            }
        }
        self.params.iter().map(param).collect()
    }

    fn number(&self, answer: &str) -> Option<usize> {
        match &self.numbers {
            Numbers::ByText(numbers) => numbers.get(answer).map(|number| *number as usize),
            Numbers::Given => answer.parse::<usize>().ok()?.checked_sub(1),
        }
    }
}

/// A one-dimensional array in binary form.
fn binary_array(simple: Simple, keys: &[Vec<&str>]) -> Option<BytesMut> {
    let mut bytes = BytesMut::with_capacity(20 + keys.len() * 12);
    bytes.put_i32(1);
    bytes.put_i32(0);
    bytes.put_u32(simple.oids().0);
    bytes.put_i32(i32::try_from(keys.len()).ok()?);
    bytes.put_i32(1);
    for key in keys {
        simple.put(key.first()?, &mut bytes)?;
    }
    Some(bytes)
}

/// A question: which of these rows do these claims see?
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) claims: Arc<Claims>,
    pub(crate) keys: Arc<Keys>,
}

/// Which of the keys are seen.
pub(crate) type Seen = Box<[bool]>;

/// So many questions are worth a connection of their own.
const WORTH_A_CONNECTION: usize = 32;

/// Asks all questions, spread over up to `connections` of the pool. A question whose policies raise is answered with an
/// error, which concerns its claims alone; the outer error is a database that does not answer.
pub(crate) async fn ask(
    pool: &Pool,
    connections: usize,
    questions: &[Question],
) -> Result<Vec<Result<Seen, Error>>, Error> {
    let shares = questions.len().div_ceil(WORTH_A_CONNECTION).clamp(1, connections.max(1));
    let share = questions.len().div_ceil(shares).max(1);
    let answers =
        join_all(questions.chunks(share).map(|questions| ask_one_connection(pool, questions))).await;
    let mut all = Vec::with_capacity(questions.len());
    for answer in answers {
        all.extend(answer?);
    }
    Ok(all)
}

async fn ask_one_connection(pool: &Pool, questions: &[Question]) -> Result<Vec<Result<Seen, Error>>, Error> {
    let contexts: Vec<RequestContext<'_>> = questions
        .iter()
        .map(|question| RequestContext::new(&*question.claims.role).with_claims(&*question.claims.json))
        .collect();
    let params: Vec<Vec<Param<'_>>> = questions.iter().map(|question| question.keys.params()).collect();
    let statements: Vec<[Statement<'_>; 1]> = questions
        .iter()
        .zip(&params)
        .map(|(question, params)| [Statement::new(&question.keys.sql, params)])
        .collect();
    let requests: Vec<PipelinedRequest<'_>> = contexts
        .iter()
        .zip(&statements)
        .map(|(context, statements)| PipelinedRequest { context, statements })
        .collect();
    let mut connection = pool.acquire().await?;
    let answers = connection.pipeline(&requests).await?;
    let seen = questions.iter().zip(answers).map(|(question, answer)| {
        let results = answer?;
        let mut seen = vec![false; question.keys.count];
        for row in results.iter().flat_map(|result| &result.rows) {
            if let Some(number) = row.text(0).and_then(|answer| question.keys.number(answer))
                && let Some(seen) = seen.get_mut(number)
            {
                *seen = true;
            }
        }
        Ok(seen.into_boxed_slice())
    });
    Ok(seen.collect())
}
