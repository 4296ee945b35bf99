//! What a client is told of a change.

use database::replication::pgoutput::Relation;

use super::json::{write_column, write_string};
use super::row::{Action, Field, RowChange};
use super::table::Table;

/// A change whose JSON is larger leaves its large values out.
pub(crate) const MAX_RECORD_BYTES: usize = 1 << 20;
/// Of such a change, a value of up to this many bytes stays.
const SMALL_VALUE: usize = 64;

/// Why a role is told of a change but not shown the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The table has no primary key: nobody can be asked who may see the row.
    NoKey,
    /// The role may not read the key.
    Unauthorized,
}

impl Refusal {
    fn message(self) -> &'static str {
        match self {
            Refusal::NoKey => "Error 400: Bad Request, no primary key",
            Refusal::Unauthorized => "Error 401: Unauthorized",
        }
    }
}

/// How a table's columns stand in the log.
#[derive(Debug)]
pub(crate) struct Layout {
    /// For each column of the catalogue its position in the log, if it is there.
    in_log: Box<[Option<usize>]>,
}

impl Layout {
    pub(crate) fn new(table: &Table, relation: &Relation) -> Self {
        let in_log =
            table.columns.iter().map(|column| super::index::position(relation, &column.name)).collect();
        Layout { in_log }
    }

    pub(crate) fn in_log(&self, column: usize) -> Option<usize> {
        self.in_log.get(column).copied().flatten()
    }
}

/// Whether the role that may read these columns can be shown the row at all. Deletions always are.
pub(crate) fn refusal(table: &Table, layout: &Layout, readable: &[bool], action: Action) -> Option<Refusal> {
    if action == Action::Delete {
        return None;
    }
    let keys = |at: &usize| table.columns[*at].in_key && layout.in_log(*at).is_some();
    let mut keys = (0..table.columns.len()).filter(keys).peekable();
    if keys.peek().is_none() {
        return Some(Refusal::NoKey);
    }
    keys.any(|at| !readable[at]).then_some(Refusal::Unauthorized)
}

/// The columns shown: those that may be read, and of these the selected ones and the key.
pub(crate) fn shown(table: &Table, readable: &[bool], select: Option<&[Box<str>]>) -> Box<[bool]> {
    let wanted = |at: usize| {
        let column = &table.columns[at];
        select.is_none_or(|select| column.in_key || select.contains(&column.name))
    };
    readable.iter().enumerate().map(|(at, readable)| *readable && wanted(at)).collect()
}

/// Whether the change is too large to be shown whole. Measured as the original does, by the length of wal2json's JSON,
/// which is estimated.
pub(crate) fn is_oversized(change: &RowChange) -> bool {
    let names: usize = change.relation.columns.iter().map(|column| column.name.len()).sum();
    change.bytes() + 2 * names + 200 > MAX_RECORD_BYTES
}

/// JSON of values that only the server could write, by column of the log: of the new row and of the old one.
#[derive(Debug, Default)]
pub(crate) struct ServerJson {
    pub(crate) new: Vec<(usize, Box<str>)>,
    pub(crate) old: Vec<(usize, Box<str>)>,
}

/// The JSON object `data` of a change for those who see these columns.
pub(crate) fn render(
    table: &Table,
    layout: &Layout,
    change: &RowChange,
    shown: &[bool],
    oversized: bool,
    server: &ServerJson,
) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("{\"columns\":[");
    let mut first = true;
    for (column, shown) in table.columns.iter().zip(shown) {
        if !shown {
            continue;
        }
        comma(&mut first, &mut out);
        out.push_str("{\"name\":");
        write_string(&column.name, &mut out);
        out.push_str(",\"type\":");
        write_string(&column.type_name, &mut out);
        out.push('}');
    }
    out.push_str("],\"commit_timestamp\":\"");
    write_timestamp(change.committed, &mut out);
    out.push('"');
    let errors = if oversized { "[\"Error 413: Payload Too Large\"]" } else { "null" };
    out.push_str(",\"errors\":");
    out.push_str(errors);
    let row = Row { table, layout, change, shown, oversized, server };
    if change.action != Action::Delete {
        out.push_str(",\"record\":");
        row.write_record(&mut out);
    }
    if change.action != Action::Insert {
        out.push_str(",\"old_record\":");
        row.write_old_record(&mut out);
    }
    write_heading(table, change.action, &mut out);
    out.push('}');
    out
}

/// The JSON object `data` for those who are refused the row.
pub(crate) fn render_refusal(table: &Table, action: Action, refusal: Refusal) -> String {
    let mut out = String::from("{\"columns\":[],\"commit_timestamp\":null,\"errors\":[");
    write_string(refusal.message(), &mut out);
    out.push_str("],\"record\":{}");
    if action == Action::Update {
        out.push_str(",\"old_record\":{}");
    }
    write_heading(table, action, &mut out);
    out.push('}');
    out
}

fn write_heading(table: &Table, action: Action, out: &mut String) {
    out.push_str(",\"schema\":");
    write_string(&table.schema, out);
    out.push_str(",\"table\":");
    write_string(&table.name, out);
    out.push_str(",\"type\":\"");
    out.push_str(action.name());
    out.push('"');
}

fn comma(first: &mut bool, out: &mut String) {
    if !std::mem::replace(first, false) {
        out.push(',');
    }
}

struct Row<'a> {
    table: &'a Table,
    layout: &'a Layout,
    change: &'a RowChange,
    shown: &'a [bool],
    oversized: bool,
    server: &'a ServerJson,
}

impl Row<'_> {
    /// The shown columns that are in the log, with their positions in the catalogue and in the log.
    fn columns(&self) -> impl Iterator<Item = (usize, usize)> {
        let shown = self.shown.iter().enumerate().filter(|(_, shown)| **shown);
        shown.filter_map(|(at, _)| Some((at, self.layout.in_log(at)?)))
    }

    fn write_record(&self, out: &mut String) {
        out.push('{');
        let mut first = true;
        for (at, in_log) in self.columns() {
            // What an update did not touch is taken from the old row, unless the change is too large anyway.
            let field = match self.oversized {
                true => self.change.new_field(in_log),
                false => self.change.shown_field(in_log),
            };
            self.write_field(at, in_log, field, &self.server.new, &mut first, out);
        }
        out.push('}');
    }

    fn write_old_record(&self, out: &mut String) {
        let begin = out.len();
        out.push('{');
        let mut first = true;
        for (at, in_log) in self.columns() {
            // Whoever may see a deleted row can no longer be asked: of a secured table only the key is shown.
            if self.change.action == Action::Delete && self.table.secured && !self.table.columns[at].in_key {
                continue;
            }
            let in_identity = self.change.relation.columns[in_log].in_identity;
            let field = self.change.old_field(in_log, in_identity);
            self.write_field(at, in_log, field, &self.server.old, &mut first, out);
        }
        if first {
            out.truncate(begin);
            out.push_str("null");
        } else {
            out.push('}');
        }
    }

    fn write_field(
        &self,
        at: usize,
        in_log: usize,
        field: Option<Field<'_>>,
        server: &[(usize, Box<str>)],
        first: &mut bool,
        out: &mut String,
    ) {
        let Some(field) = field else { return };
        let mut value = String::new();
        match field {
            // Without a length, a null is not a small value either.
            Field::Null if self.oversized => return,
            Field::Null => value.push_str("null"),
            Field::Text(text) => {
                // No form is shorter than its text by more than quotes.
                if self.oversized && text.len() > SMALL_VALUE + 2 {
                    return;
                }
                match server.iter().find(|(known, _)| *known == in_log) {
                    Some((_, json)) => value.push_str(json),
                    None => {
                        let oid = self.change.relation.columns[in_log].type_oid;
                        match self.table.type_of(oid) {
                            Some(info) => write_column(&info.kind, text, &mut value),
                            None => write_string(text, &mut value),
                        }
                    }
                }
                if self.oversized && value.len() > SMALL_VALUE {
                    return;
                }
            }
        }
        comma(first, out);
        write_string(&self.table.columns[at].name, out);
        out.push(':');
        out.push_str(&value);
    }
}

/// Seconds between 1970 and 2000.
const POSTGRES_EPOCH: i64 = 946_684_800;

/// Microseconds since 2000 as `2024-01-02T03:04:05.678Z`.
pub(crate) fn write_timestamp(micros: i64, out: &mut String) {
    let millis = micros.div_euclid(1000);
    let seconds = millis.div_euclid(1000) + POSTGRES_EPOCH;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        millis.rem_euclid(1000)
    );
    out.push_str(&text);
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, in eras of 400 years: a year then begins in March and ends with the leap day.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(micros: i64) -> String {
        let mut out = String::new();
        write_timestamp(micros, &mut out);
        out
    }

    #[test]
    fn times_of_commits_have_milliseconds_and_a_z() {
        assert_eq!(timestamp(0), "2000-01-01T00:00:00.000Z");
        assert_eq!(timestamp(757_422_245_678_901), "2024-01-01T11:04:05.678Z");
        // A leap day, and before the epoch.
        assert_eq!(timestamp((59 * 86_400 - 1) * 1_000_000), "2000-02-28T23:59:59.000Z");
        assert_eq!(timestamp(59 * 86_400 * 1_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(timestamp(-1), "1999-12-31T23:59:59.999Z");
    }
}
