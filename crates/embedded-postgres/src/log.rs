//! PostgreSQL's log: read from its standard error, put together into records, passed on to `tracing`.

use std::{
    collections::VecDeque,
    io::Read,
    sync::{Mutex, PoisonError},
};

/// `log_line_prefix`: process, SQLSTATE and, in a session, who and where. [`parse`] undoes it.
pub(crate) const PREFIX: &str = "%p %e %q%u@%d ";

/// Labels that begin a record.
const SEVERITIES: &[&str] = &[
    "LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3",
    "DEBUG4", "DEBUG5",
];
/// Labels that add to the record before.
const ADDITIONS: &[&str] = &["DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "BACKTRACE", "STATEMENT"];

/// A longer line is cut: `log_statement` can log megabytes.
const LONGEST_LINE: usize = 64 * 1024;
/// How many records are kept to explain why PostgreSQL ended.
const KEPT: usize = 12;

/// One message with all that belongs to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) process: u32,
    pub(crate) code: String,
    /// `user@database`; empty for PostgreSQL's own processes.
    pub(crate) session: String,
    /// Empty for lines in no known form, such as the dynamic linker's.
    pub(crate) severity: String,
    pub(crate) message: String,
    pub(crate) detail: String,
    pub(crate) hint: String,
    pub(crate) context: String,
    pub(crate) statement: String,
}

/// The last records, for error messages.
#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<VecDeque<Record>>);

impl Tail {
    fn push(&self, record: &Record) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record.clone());
    }

    /// Forgets what was logged before a new start.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Why PostgreSQL ended: what it called an error, in any way; if there is nothing such, its last words.
    pub(crate) fn reason(&self) -> String {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |wanted: fn(&Record) -> bool| {
            let lines: Vec<_> = records.iter().filter(|record| wanted(record)).map(describe).collect();
            (!lines.is_empty()).then(|| lines.join("; "))
        };
        // What is wrong in a configuration file is told at level LOG; its SQLSTATE gives it away.
        told(|record| !record.code.starts_with("00") && !record.code.starts_with("01"))
            .or_else(|| records.back().map(describe))
            .unwrap_or_else(|| "it said nothing".into())
    }
}

/// Whether PostgreSQL's words mean that the disk is full.
pub(crate) fn tells_of_full_disk(text: &str) -> bool {
    ["No space left on device", "Check free disk space", "Disk quota exceeded"]
        .iter()
        .any(|words| text.contains(words))
}

fn describe(record: &Record) -> String {
    let mut text = record.message.clone();
    for addition in [&record.detail, &record.hint] {
        if !addition.is_empty() {
            text.push_str(" — ");
            text.push_str(addition);
        }
    }
    text
}

/// Reads until the last process closes its end. Every record goes to `tail`, to `tracing` and to `notice`.
pub(crate) fn follow(mut source: impl Read, tail: &Tail, mut notice: impl FnMut(&Record)) {
    let mut deliver = |record: Record| {
        tail.push(&record);
        trace(&record);
        notice(&record);
    };
    let mut pending: Vec<u8> = Vec::new();
    let mut current: Option<Record> = None;
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in &buffer[..count] {
            if *byte != b'\n' {
                if pending.len() < LONGEST_LINE {
                    pending.push(*byte);
                }
                continue;
            }
            if let Some(done) = take(&mut current, &String::from_utf8_lossy(&pending)) {
                deliver(done);
            }
            pending.clear();
        }
        // A record is written at once, additions included: with nothing left over it is complete.
        if pending.is_empty()
            && let Some(done) = current.take()
        {
            deliver(done);
        }
    }
    if !pending.is_empty()
        && let Some(done) = take(&mut current, &String::from_utf8_lossy(&pending))
    {
        deliver(done);
    }
    if let Some(done) = current {
        deliver(done);
    }
}

/// Adds a line to the current record, or begins the next one and returns the last.
fn take(current: &mut Option<Record>, line: &str) -> Option<Record> {
    if let (Some(record), Some(more)) = (current.as_mut(), line.strip_prefix('\t')) {
        let field = if !record.statement.is_empty() {
            &mut record.statement
        } else if !record.detail.is_empty() {
            &mut record.detail
        } else {
            &mut record.message
        };
        field.push('\n');
        field.push_str(more);
        return None;
    }
    let Some((head, label, text)) = split(line) else {
        let raw = Record { message: line.to_owned(), ..Record::default() };
        return current.replace(raw);
    };
    if ADDITIONS.contains(&label) {
        if let Some(record) = current.as_mut() {
            let field = match label {
                "DETAIL" => &mut record.detail,
                "HINT" => &mut record.hint,
                "STATEMENT" | "QUERY" => &mut record.statement,
                _ => &mut record.context,
            };
            field.push_str(text);
        }
        return None;
    }
    let mut words = head.splitn(3, ' ');
    let process = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
    let code = words.next().unwrap_or_default().to_owned();
    let session = words.next().unwrap_or_default().trim_end().to_owned();
    let record = Record {
        process,
        code,
        session,
        severity: label.to_owned(),
        message: text.to_owned(),
        ..Record::default()
    };
    current.replace(record)
}

/// `head LABEL:  text`
fn split(line: &str) -> Option<(&str, &str, &str)> {
    if !line.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    // The first label that is one: names of users and databases may contain anything.
    line.match_indices(":  ").find_map(|(at, _)| {
        let before = &line[..at];
        let label_at = before.rfind(' ')? + 1;
        let label = &before[label_at..];
        let known = SEVERITIES.contains(&label) || ADDITIONS.contains(&label);
        known.then(|| (&line[..label_at - 1], label, &line[at + 3..]))
    })
}

/// A client's failed statement is the client's affair (`debug`, it gets the error); what stops PostgreSQL is an error.
fn trace(record: &Record) {
    macro_rules! emit {
        ($level:ident) => {
            tracing::$level!(
                target: "postgres",
                process = record.process,
                code = %record.code,
                session = %record.session,
                detail = %record.detail,
                hint = %record.hint,
                context = %record.context,
                statement = %record.statement,
                "{}: {}", record.severity, record.message
            )
        };
    }
    match &*record.severity {
        "PANIC" => emit!(error),
        "FATAL" | "WARNING" | "" => emit!(warn),
        "ERROR" => emit!(info),
        _ => emit!(debug),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<Record> {
        let mut records = Vec::new();
        follow(text.as_bytes(), &Tail::default(), |record| records.push(record.clone()));
        records
    }

    #[test]
    fn a_statements_error_is_one_record() {
        let text = "71 42P01 anna@postgres ERROR:  relation \"x:  y\" does not exist at character 15\n\
                    71 42P01 anna@postgres HINT:  Perhaps another one\n\
                    71 42P01 anna@postgres STATEMENT:  select *\n\tfrom x\n\
                    12 00000 LOG:  checkpoint starting\n";
        let expected = Record {
            process: 71,
            code: "42P01".into(),
            session: "anna@postgres".into(),
            severity: "ERROR".into(),
            message: "relation \"x:  y\" does not exist at character 15".into(),
            hint: "Perhaps another one".into(),
            statement: "select *\nfrom x".into(),
            ..Record::default()
        };
        let records = records(text);
        assert_eq!(records[0], expected);
        assert_eq!((&*records[1].severity, &*records[1].session, records[1].process), ("LOG", "", 12));
    }

    #[test]
    fn lines_in_no_known_form_are_kept() {
        let text = "postgres: error while loading shared libraries: libicuuc.so.60\n";
        let expected = Record { message: text.trim_end().into(), ..Record::default() };
        assert_eq!(records(text), [expected]);
    }

    #[test]
    fn the_reason_is_the_fatal_message() {
        let tail = Tail::default();
        let text = "9 00000 LOG:  starting\n9 53100 FATAL:  could not write\n9 53100 HINT:  Free some\n9 00000 LOG:  down\n";
        follow(text.as_bytes(), &tail, |_| {});
        assert_eq!(tail.reason(), "could not write — Free some");
        tail.clear();
        assert_eq!(tail.reason(), "it said nothing");
    }

    #[test]
    fn an_endless_line_is_cut() {
        let text = format!("9 00000 LOG:  {}\n", "x".repeat(1 << 20));
        assert!(records(&text)[0].message.len() < LONGEST_LINE);
    }
}
