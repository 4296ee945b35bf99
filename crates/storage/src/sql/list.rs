//! Listings.
//!
//! Every range is of names in byte order (`collate "C"`), which indexes serve; a prefix is a range, never a pattern.

use database::{Param, Statement};

use super::{object_columns, object_row, text, wire_time};
use crate::Context;
use crate::domain::{Domain, Entry, ListPage, ListedV1, Order, SearchRequest, SortColumn, V2Request};
use crate::domain::{folded, successor};
use crate::error::Result;

/// A name beyond which nothing lies: where a range has no end.
const END: &str = "\u{10FFFF}\u{10FFFF}";

/// Steps that skip from one entry to the next, in one statement. `$1` bucket, `$2` and `$3` the range (half open), `$4` the
/// prefix, `$5` the delimiter, `$6` how many entries.
///
/// Where the next step begins is a column of its own: under row level security only comparisons with plain columns and
/// parameters become conditions of an index, and anything computed within one would be a filter over all that lies before.
macro_rules! page {
    ($direction:literal, $bound:literal, $beyond:literal) => {
        concat!(
            "with recursive page (n, name, folder, id, created_at, updated_at, bound) as ( \
                (select 1, s.*, ", $bound, " from (", page!(@step $direction, ""), ") s) \
                union all \
                select p.n + 1, s.*, ", $bound, " from page p cross join lateral (", page!(@step $direction, $beyond), ") s \
                where p.n < $6::bigint) \
            select p.folder, ", wire_time!("p.created_at"), ", ", wire_time!("p.updated_at"), ", ",
            object_columns!(),
            " from page p left join storage.objects o on p.folder is null and o.id = p.id order by p.n"
        )
    };
    (@step $direction:literal, $beyond:literal) => {
        concat!(
            "select o.name, case when position($5::text in substr(o.name, length($4::text) + 1)) > 0 then left(o.name, \
             length($4::text) + position($5::text in substr(o.name, length($4::text) + 1)) - 1 + length($5::text)) end as folder, \
             o.id, o.created_at, o.updated_at from storage.objects o \
             where o.bucket_id = $1 and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3 ", $beyond, " \
             order by o.name collate \"C\" ", $direction, " limit 1"
        )
    };
}

const PAGE_ASC: &str = page!(
    "asc",
    "case when s.folder is null then s.name || chr(1) \
     else left(s.folder, -1) || chr(ascii(right(s.folder, 1)) + 1) end",
    "and o.name collate \"C\" >= p.bound"
);
const PAGE_DESC: &str = page!("desc", "coalesce(s.folder, s.name)", "and o.name collate \"C\" < p.bound");

macro_rules! flat {
    ($direction:literal) => {
        concat!(
            "select null, null, null, ",
            object_columns!(),
            " from storage.objects o where o.bucket_id = $1 and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3 \
             order by o.name collate \"C\" ", $direction, " limit $4::bigint"
        )
    };
}

const FLAT_ASC: &str = flat!("asc");
const FLAT_DESC: &str = flat!("desc");

/// One entry more than asked for, when there are more.
pub(crate) async fn page(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    page: &ListPage,
) -> Result<Vec<Entry>> {
    let delimiter = page.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let (mut low, mut high) =
        (page.prefix.clone(), successor(&page.prefix).unwrap_or_else(|| END.to_owned()));
    if !page.after.is_empty() {
        let is_folder = delimiter.is_some_and(|d| folded(&page.after, &page.prefix, d) == Some(&page.after));
        match page.order {
            Order::Ascending => {
                let beyond = if is_folder {
                    successor(&page.after).unwrap_or_else(|| END.to_owned())
                } else {
                    format!("{}\u{1}", page.after)
                };
                low = low.max(beyond);
            }
            Order::Descending => high = high.min(page.after.clone()),
        }
    }
    let limit = page.limit.saturating_add(1).to_string();
    let range = [Param::Text(bucket), Param::Text(&low), Param::Text(&high)];
    let statement_params;
    let sql = match (delimiter, page.order) {
        (Some(delimiter), order) => {
            statement_params =
                [&range[..], &[Param::Text(&page.prefix), Param::Text(delimiter), Param::Text(&limit)]]
                    .concat();
            if order == Order::Ascending { PAGE_ASC } else { PAGE_DESC }
        }
        (None, order) => {
            statement_params = [&range[..], &[Param::Text(&limit)]].concat();
            if order == Order::Ascending { FLAT_ASC } else { FLAT_DESC }
        }
    };
    let request = context.reading(domain.search_path());
    let results = domain.pool().request(&request, &[Statement::new(sql, &statement_params)]).await?;
    Ok(results.first().map(|result| result.rows.iter().filter_map(entry).collect()).unwrap_or_default())
}

/// Reads folder name, its times and an object. An object that went while the statement ran is left out.
fn entry(row: &database::Row) -> Option<Entry> {
    match text(row, 0) {
        Some(name) => Some(Entry::Prefix { name, created_at: text(row, 1), updated_at: text(row, 2) }),
        None => row.get(3).map(|_| Entry::Object(Box::new(object_row(row, 3)))),
    }
}

/// One level below a prefix (empty or ending in a slash): folders, then objects.
pub(crate) async fn search(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    prefix: &str,
    request: &SearchRequest,
) -> Result<Vec<ListedV1>> {
    let high = successor(prefix).unwrap_or_else(|| END.to_owned());
    let level = (prefix.matches('/').count() + 1).to_string();
    let wanted = request.offset.saturating_add(request.limit).to_string();
    let ascending = request.order == Order::Ascending;
    let range = [
        Param::Text(bucket),
        Param::Text(prefix),
        Param::Text(&high),
        Param::Text(&level),
        Param::Text(&request.search),
    ];
    let context = context.reading(domain.search_path());
    let params = [&range[..], &[Param::Text(&wanted)]].concat();
    let sql = if ascending { FOLDERS_ASC } else { FOLDERS_DESC };
    let results = domain.pool().request(&context, &[Statement::new(sql, &params)]).await?;
    let folders: Vec<String> = results
        .first()
        .map(|result| result.rows.iter().filter_map(|row| text(row, 0)).collect())
        .unwrap_or_default();
    let count = folders.len() as u64;
    let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
    let skipped = usize::try_from(request.offset).unwrap_or(usize::MAX);
    let mut listed: Vec<ListedV1> =
        folders.into_iter().skip(skipped).take(limit).map(ListedV1::Folder).collect();
    let room = request.limit - listed.len() as u64;
    if room == 0 {
        return Ok(listed);
    }
    let (room, offset) = (room.to_string(), request.offset.saturating_sub(count).to_string());
    let params = [&range[..], &[Param::Text(&room), Param::Text(&offset)]].concat();
    let sql = objects(request.column, ascending);
    let results = domain.pool().request(&context, &[Statement::new(&sql, &params)]).await?;
    let rows = results.into_iter().next().map(|result| result.rows).unwrap_or_default();
    listed.extend(rows.iter().map(|row| {
        let mut row = object_row(row, 0);
        row.name = row.name.get(prefix.len()..).unwrap_or_default().to_owned();
        ListedV1::Object(Box::new(row))
    }));
    Ok(listed)
}

/// Folders at a level: the beginnings of names of deeper levels. Each step asks every deeper level that the bucket has for
/// its next name, so that objects beside the folders are never visited. `$1` bucket, `$2` prefix, `$3` its end, `$4` the
/// level, `$5` what the last segment begins with, `$6` how many.
/// As above, where the next step begins is a column.
macro_rules! folders {
    ($extreme:literal, $direction:literal, $end:literal, $beyond:literal) => {
        concat!(
            "with recursive ", folders!(@all $extreme, $direction, $end, $beyond),
            " select substr(folder, length($2::text) + 1) from folders \
            where folder is not null and starts_with(lower(substr(folder, length($2::text) + 1)), lower($5::text)) \
            limit $6::bigint"
        )
    };
    (@all $extreme:literal, $direction:literal, $end:literal, $beyond:literal) => {
        concat!(
            "levels (level) as ( \
                (select o.level from storage.objects o where o.bucket_id = $1 and o.level > $4::int order by o.level limit 1) \
                union all \
                select (select o.level from storage.objects o where o.bucket_id = $1 and o.level > l.level \
                order by o.level limit 1) from levels l where l.level is not null), \
            folders (folder, bound) as ( \
                select s.folder, s.folder || '", $end, "' from (select ", folders!(@next $extreme, $direction, ""), " as folder) s \
                union all \
                select s.folder, s.folder || '", $end, "' from folders f cross join lateral (select ",
                folders!(@next $extreme, $direction, $beyond), " as folder) s where f.folder is not null)"
        )
    };
    (@next $extreme:literal, $direction:literal, $beyond:literal) => {
        concat!(
            "(select $2::text || split_part(substr(", $extreme, "(found.name collate \"C\"), length($2::text) + 1), '/', 1) \
             from levels l cross join lateral (select o.name from storage.objects o where o.bucket_id = $1 \
             and o.level = l.level and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3 ", $beyond,
            " order by o.name collate \"C\" ", $direction, " limit 1) found where l.level is not null)"
        )
    };
}

const FOLDERS_ASC: &str = folders!("min", "asc", "0", "and o.name collate \"C\" >= f.bound");
const FOLDERS_DESC: &str = folders!("max", "desc", "/", "and o.name collate \"C\" < f.bound");

/// Objects right at a level. Same parameters; `$6` how many, `$7` after how many.
fn objects(column: SortColumn, ascending: bool) -> String {
    let direction = if ascending { "asc" } else { "desc" };
    let sorting = match column {
        SortColumn::Name => String::new(),
        other => format!("o.{} {direction}, ", other.as_str()),
    };
    format!(
        "select {} from storage.objects o where o.bucket_id = $1 and o.level = $4::int \
         and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3 \
         and ($5 = '' or starts_with(lower(substr(o.name, length($2::text) + 1)), lower($5::text))) \
         order by {sorting}o.name collate \"C\" {direction} limit $6::bigint offset $7::bigint",
        object_columns!()
    )
}

/// A page ordered by a time. With a delimiter all folders and objects of the level are looked at, but not what is in the
/// folders, and a folder's times are those of its first object, as where names order. Without one it is all below the prefix.
pub(crate) async fn by_time(
    domain: &Domain,
    context: &Context,
    bucket: &str,
    request: &V2Request,
    column: SortColumn,
    order: Order,
) -> Result<Vec<Entry>> {
    let high = successor(&request.prefix).unwrap_or_else(|| END.to_owned());
    let limit = request.limit.saturating_add(1).to_string();
    let (at, last) = match &request.cursor {
        Some(cursor) => (cursor.at.as_deref(), cursor.last.as_str()),
        None => (None, ""),
    };
    let level = (request.prefix.matches('/').count() + 1).to_string();
    let range = [Param::Text(bucket), Param::Text(&request.prefix), Param::Text(&high)];
    let page = [at.into(), Param::Text(last), Param::Text(&limit)];
    let (sql, params) = if request.with_delimiter {
        (level_by_time(column, order), [&range[..], &[Param::Text(&level)], &page].concat())
    } else {
        (all_by_time(column, order), [&range[..], &page].concat())
    };
    let context = context.reading(domain.search_path());
    let results = domain.pool().request(&context, &[Statement::new(&sql, &params)]).await?;
    Ok(results.first().map(|result| result.rows.iter().filter_map(entry).collect()).unwrap_or_default())
}

/// Range and level as in [`folders`], then as in [`time_page`].
fn level_by_time(column: SortColumn, order: Order) -> String {
    format!(
        "with recursive {}, starts (name) as materialized (select folder || '/' from folders where folder is not null), \
        listed as ( \
            select s.name, s.name as folder, null::uuid as id, first.created_at, first.updated_at \
            from starts s cross join lateral (select o.created_at, o.updated_at from storage.objects o \
            where o.bucket_id = $1 and o.name collate \"C\" >= s.name order by o.name collate \"C\" limit 1) first \
            union all select o.name, null, o.id, o.created_at, o.updated_at from storage.objects o \
            where o.bucket_id = $1 and o.level = $4::int and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3) \
        select p.folder, {}, {}, {} from listed p left join storage.objects o on p.folder is null and o.id = p.id {}",
        folders!(@all "min", "asc", "0", "and o.name collate \"C\" >= f.bound"),
        wire_time!("p.created_at"),
        wire_time!("p.updated_at"),
        object_columns!(),
        time_page(column, order, 5),
    )
}

/// The range, then as in [`time_page`].
fn all_by_time(column: SortColumn, order: Order) -> String {
    format!(
        "with p as (select o.id, o.name, o.created_at, o.updated_at from storage.objects o \
            where o.bucket_id = $1 and o.name collate \"C\" >= $2 and o.name collate \"C\" < $3) \
        select null, null, null, {} from p join storage.objects o on o.id = p.id {}",
        object_columns!(),
        time_page(column, order, 4),
    )
}

/// The page of `p` that begins after a time and a name, none for the first: those and the number of entries are three
/// parameters from `first` on.
fn time_page(column: SortColumn, order: Order, first: usize) -> String {
    let column = if column == SortColumn::CreatedAt { "created_at" } else { "updated_at" };
    let (direction, beyond) = if order == Order::Ascending { ("asc", ">") } else { ("desc", "<") };
    let (at, last, limit) = (first, first + 1, first + 2);
    format!(
        "where ${at}::timestamptz is null or (date_trunc('milliseconds', p.{column}), p.name collate \"C\") \
         {beyond} (${at}::timestamptz, ${last}::text collate \"C\") \
         order by date_trunc('milliseconds', p.{column}) {direction}, p.name collate \"C\" {direction} limit ${limit}::bigint"
    )
}
