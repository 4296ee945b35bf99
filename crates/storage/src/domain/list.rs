//! Listings: by folder and offset (REST's first), by cursor (REST's second), by prefix and delimiter (S3).
//!
//! Folders are what visible objects lie in. They are found by skipping from one to the next in the order of the index,
//! so that a listing costs what it shows, not what the bucket holds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Domain, ObjectRow};
use crate::sql;
use crate::{Context, Error, Result};

/// The order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
}

/// What a listing is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum SortColumn {
    #[default]
    Name,
    UpdatedAt,
    CreatedAt,
    LastAccessedAt,
}

impl SortColumn {
    /// The column, by its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "name" => Self::Name,
            "updated_at" => Self::UpdatedAt,
            "created_at" => Self::CreatedAt,
            "last_accessed_at" => Self::LastAccessedAt,
            _ => return None,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::UpdatedAt => "updated_at",
            Self::CreatedAt => "created_at",
            Self::LastAccessedAt => "last_accessed_at",
        }
    }
}

/// One level of a folder, by offset.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// The folder; a slash is appended unless it is empty or has one.
    pub prefix: String,
    /// At most so many, folders and objects together.
    pub limit: u64,
    /// Skipping so many.
    pub offset: u64,
    /// How the next segment begins, in any case.
    pub search: String,
    /// What objects are ordered by; folders always by name.
    pub column: SortColumn,
    /// Both of them.
    pub order: Order,
}

/// What [`Domain::search`] finds.
#[derive(Debug, Clone, PartialEq)]
pub enum ListedV1 {
    /// A folder, by the last segment of its name.
    Folder(String),
    /// An object; its `name` is the last segment only.
    Object(Box<ObjectRow>),
}

/// A page by prefix and delimiter, in byte order.
#[derive(Debug, Clone, Default)]
pub struct ListPage {
    /// What names begin with.
    pub prefix: String,
    /// Where names are folded; none lists every object.
    pub delimiter: Option<String>,
    /// The name or folded name after which the page begins; empty for the first.
    pub after: String,
    /// At most so many entries.
    pub limit: u64,
    /// Ascending for S3.
    pub order: Order,
}

/// An object, or the common beginning of several.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An object with its whole name.
    Object(Box<ObjectRow>),
    /// The name up to and with the delimiter, with the times of an object in it.
    Prefix {
        /// The folded name.
        name: String,
        /// When an object in it was made.
        created_at: Option<String>,
        /// When an object in it was changed.
        updated_at: Option<String>,
    },
}

impl Entry {
    /// The whole or folded name: the `after` of the next page.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Object(row) => &row.name,
            Self::Prefix { name, .. } => name,
        }
    }
}

/// A page of entries.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub more: bool,
}

/// A page by cursor.
#[derive(Debug, Clone)]
pub struct V2Request {
    /// What names begin with.
    pub prefix: String,
    /// Whether names are folded at slashes.
    pub with_delimiter: bool,
    /// At most so many.
    pub limit: u64,
    /// Where the page before ended, and its order.
    pub cursor: Option<Cursor>,
    /// The order when there is no cursor.
    pub column: SortColumn,
    /// The order when there is no cursor.
    pub order: Order,
}

/// What [`Domain::list_v2`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct V2Page {
    /// The entries, in order.
    pub entries: Vec<Entry>,
    /// The cursor of the next page, when there is one.
    pub next: Option<Cursor>,
}

/// Where a page ended: opaque to clients, in the original's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last entry's name.
    pub last: String,
    /// The order.
    pub order: Order,
    /// The column.
    pub column: SortColumn,
    /// The last entry's time, when that is what pages are ordered by.
    pub at: Option<String>,
}

impl Cursor {
    /// Base64 of a line each: `l:` name, `o:` order, `c:` column, `a:` time.
    #[must_use]
    pub fn encode(&self) -> String {
        let order = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let mut text = format!("l:{}\no:{order}\nc:{}", self.last, self.column.as_str());
        if let Some(at) = &self.at {
            text.push_str("\na:");
            text.push_str(at);
        }
        STANDARD.encode(text)
    }

    /// Reads [`Cursor::encode`].
    pub fn decode(text: &str) -> Result<Self> {
        let invalid = || Error::new(crate::Code::MissingParameter, "Invalid Parameter cursor");
        let bytes = STANDARD.decode(text.trim()).map_err(|_| invalid())?;
        let decoded = String::from_utf8(bytes).map_err(|_| invalid())?;
        let mut cursor =
            Self { last: String::new(), order: Order::Ascending, column: SortColumn::Name, at: None };
        for line in decoded.split('\n') {
            match line.split_at_checked(2).ok_or_else(invalid)? {
                ("l:", last) => cursor.last = last.to_owned(),
                ("o:", "asc") => cursor.order = Order::Ascending,
                ("o:", "desc") => cursor.order = Order::Descending,
                ("c:", column) => cursor.column = SortColumn::parse(column).ok_or_else(invalid)?,
                // It goes into a statement as a time: nothing else may.
                ("a:", at) if chrono::DateTime::parse_from_rfc3339(at).is_ok() => {
                    cursor.at = Some(at.to_owned());
                }
                _ => return Err(invalid()),
            }
        }
        let by_time = cursor.column != SortColumn::Name;
        if cursor.last.is_empty() || cursor.last.contains('\0') || by_time != cursor.at.is_some() {
            return Err(invalid());
        }
        Ok(cursor)
    }
}

/// The smallest text that is greater than every text with this beginning, in the order of bytes; none when there is no
/// such.
#[must_use]
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            c => char::from_u32(c as u32 + 1),
        };
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

/// A name up to and with the first delimiter after the prefix; none when there is no delimiter.
#[must_use]
pub(crate) fn folded<'n>(name: &'n str, prefix: &str, delimiter: &str) -> Option<&'n str> {
    let rest = name.strip_prefix(prefix)?;
    let at = rest.find(delimiter)?;
    name.get(..prefix.len() + at + delimiter.len())
}

impl Domain {
    /// One level of a folder: first folders, then objects. Needs SELECT on objects; what is not visible is not there.
    pub async fn search(
        &self,
        context: &Context,
        bucket: &str,
        request: &SearchRequest,
    ) -> Result<Vec<ListedV1>> {
        let mut prefix = request.prefix.clone();
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        if prefix.contains('\0') || request.search.contains('\0') {
            return Ok(Vec::new());
        }
        sql::list::search(self, context, bucket, &prefix, request).await
    }

    /// A page by prefix and delimiter. Needs SELECT on objects; what is not visible is not there.
    pub async fn list_page(&self, context: &Context, bucket: &str, page: &ListPage) -> Result<Page> {
        if page.limit == 0 || page.prefix.contains('\0') {
            return Ok(Page { entries: Vec::new(), more: false });
        }
        let mut entries = sql::list::page(self, context, bucket, page).await?;
        let more = entries.len() as u64 > page.limit;
        entries.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
        Ok(Page { entries, more })
    }

    /// A page by cursor.
    pub async fn list_v2(&self, context: &Context, bucket: &str, request: &V2Request) -> Result<V2Page> {
        let (column, order) = match &request.cursor {
            Some(cursor) => (cursor.column, cursor.order),
            None => (request.column, request.order),
        };
        if column == SortColumn::Name {
            let page = ListPage {
                prefix: request.prefix.clone(),
                delimiter: request.with_delimiter.then(|| "/".to_owned()),
                after: request.cursor.as_ref().map(|cursor| cursor.last.clone()).unwrap_or_default(),
                limit: request.limit,
                order,
            };
            let page = self.list_page(context, bucket, &page).await?;
            let last = page.entries.last().filter(|_| page.more).map(|entry| entry.name().to_owned());
            let next = last.map(|last| Cursor { last, order, column: SortColumn::Name, at: None });
            return Ok(V2Page { entries: page.entries, next });
        }
        if request.prefix.contains('\0') {
            return Ok(V2Page { entries: Vec::new(), next: None });
        }
        let mut entries = sql::list::by_time(self, context, bucket, request, column, order).await?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|entry| {
            let (created, updated) = match entry {
                Entry::Object(row) => (&row.created_at, &row.updated_at),
                Entry::Prefix { created_at, updated_at, .. } => (created_at, updated_at),
            };
            let at = if column == SortColumn::CreatedAt { created } else { updated };
            let at = at.clone().unwrap_or_else(|| "1970-01-01T00:00:00.000Z".to_owned());
            Cursor { last: entry.name().to_owned(), order, column, at: Some(at) }
        });
        Ok(V2Page { entries, next })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_survives_the_wire() {
        let cursor = Cursor {
            last: "a/b c".into(),
            order: Order::Descending,
            column: SortColumn::CreatedAt,
            at: Some("2025-01-01T00:00:00.000Z".into()),
        };
        assert_eq!(Cursor::decode(&cursor.encode()).unwrap(), cursor);
        for bad in ["", "!!", "bDo=", &STANDARD.encode("x:y"), &STANDARD.encode("l:a\nc:updated_at\na:now()")]
        {
            assert!(Cursor::decode(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_successor_is_beyond_all_names_with_the_prefix(prefix in "\\PC{1,8}", tail in "\\PC{0,8}") {
            if let Some(next) = successor(&prefix) {
                let name = [prefix.as_str(), &tail].concat();
                prop_assert!(name.as_bytes() < next.as_bytes());
                prop_assert!(next.as_bytes() > prefix.as_bytes());
            }
        }
    }
}
