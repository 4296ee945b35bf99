//! Media types: what `Accept` and `Content-Type` say.

use std::fmt;

/// A media type as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/geo+json`
    GeoJson,
    /// `text/csv`
    Csv,
    /// `text/plain`
    Plain,
    /// `text/xml`
    Xml,
    /// `application/openapi+json`
    OpenApi,
    /// `application/x-www-form-urlencoded`
    Form,
    /// `application/octet-stream`
    Octets,
    /// `*/*`
    Any,
    /// `application/vnd.pgrst.object+json`
    Object {
        /// Whether keys with null values are left out.
        nulls_stripped: bool,
    },
    /// `application/vnd.pgrst.array+json;nulls=stripped`
    ArrayStripped,
    /// `application/vnd.pgrst.plan`
    Plan(Box<PlanMedia>),
    /// Any other type, as it was written.
    Other(String),
}

/// `application/vnd.pgrst.plan+json; for="…"; options=…`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlanMedia {
    /// The answer whose plan is asked for.
    pub of: MediaType,
    /// JSON, or else text.
    pub json: bool,
    /// The options of `EXPLAIN`.
    pub options: Vec<PlanOption>,
}

/// An option of `EXPLAIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PlanOption {
    /// Run it.
    Analyze,
    /// Say more.
    Verbose,
    /// Name changed settings.
    Settings,
    /// Count buffers.
    Buffers,
    /// Count log records.
    Wal,
}

impl PlanOption {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Analyze, "analyze"),
        (Self::Verbose, "verbose"),
        (Self::Settings, "settings"),
        (Self::Buffers, "buffers"),
        (Self::Wal, "wal"),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Verbose => "verbose",
            Self::Settings => "settings",
            Self::Buffers => "buffers",
            Self::Wal => "wal",
        }
    }
}

impl MediaType {
    /// Reads one media type; parameters that do not matter are dropped.
    pub fn decode(text: &str) -> Self {
        // What nearly every request says.
        if text == "application/json" {
            return Self::Json;
        }
        let Some((main, sub, parameters)) = tokens(text) else { return Self::Other(text.to_owned()) };
        let parameter = |name: &str| {
            parameters
                .iter()
                .rev()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let nulls_stripped = parameter("nulls") == Some("stripped");
        let plan = |json| {
            let wanted: Vec<&str> = parameter("options").unwrap_or_default().split('|').collect();
            Self::Plan(Box::new(PlanMedia {
                of: parameter("for").map_or(Self::Json, Self::decode),
                json,
                options: PlanOption::ALL
                    .into_iter()
                    .filter(|(_, word)| wanted.contains(word))
                    .map(|(option, _)| option)
                    .collect(),
            }))
        };
        let (main, sub) = (main.to_ascii_lowercase(), sub.to_ascii_lowercase());
        match (main.as_str(), sub.as_str()) {
            ("application", "json") => Self::Json,
            ("application", "geo+json") => Self::GeoJson,
            ("text", "csv") => Self::Csv,
            ("text", "plain") => Self::Plain,
            ("text", "xml") => Self::Xml,
            ("application", "openapi+json") => Self::OpenApi,
            ("application", "x-www-form-urlencoded") => Self::Form,
            ("application", "octet-stream") => Self::Octets,
            ("application", "vnd.pgrst.plan" | "vnd.pgrst.plan+text") => plan(false),
            ("application", "vnd.pgrst.plan+json") => plan(true),
            ("application", "vnd.pgrst.object+json" | "vnd.pgrst.object") => Self::Object { nulls_stripped },
            ("application", "vnd.pgrst.array+json" | "vnd.pgrst.array") if nulls_stripped => {
                Self::ArrayStripped
            }
            ("application", "vnd.pgrst.array+json" | "vnd.pgrst.array") => Self::Json,
            ("*", "*") => Self::Any,
            _ => Self::Other(text.to_owned()),
        }
    }

    /// The value of `Content-Type` for it.
    pub fn content_type(&self) -> String {
        match self {
            Self::Octets | Self::Other(_) => self.to_string(),
            _ => format!("{self}; charset=utf-8"),
        }
    }

    /// Whether it asks for exactly one row.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object { .. })
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "application/json",
            Self::GeoJson => "application/geo+json",
            Self::Csv => "text/csv",
            Self::Plain => "text/plain",
            Self::Xml => "text/xml",
            Self::OpenApi => "application/openapi+json",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Octets => "application/octet-stream",
            Self::Any => "*/*",
            Self::Object { nulls_stripped: true } => "application/vnd.pgrst.object+json;nulls=stripped",
            Self::Object { nulls_stripped: false } => "application/vnd.pgrst.object+json",
            Self::ArrayStripped => "application/vnd.pgrst.array+json;nulls=stripped",
            Self::Other(text) => text,
            Self::Plan(plan) => {
                let format = if plan.json { "json" } else { "text" };
                write!(f, "application/vnd.pgrst.plan+{format}; for=\"{}\"", plan.of)?;
                for (index, option) in plan.options.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "; options=" } else { "|" }, option.word())?;
                }
                return Ok(());
            }
        })
    }
}

type Parameters = Vec<(String, String)>;

/// `main/sub`, then `; key=value` as long as they can be read. What follows is ignored.
fn tokens(text: &str) -> Option<(&str, &str, Parameters)> {
    let main_end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '*')))?;
    let rest = text[main_end..].strip_prefix('/')?;
    let sub_end = rest
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '*' | '+' | '-')))
        .unwrap_or(rest.len());
    if main_end == 0 || sub_end == 0 {
        return None;
    }
    let mut parameters = Vec::new();
    let mut tail = &rest[sub_end..];
    while let Some((key, value, next)) = parameter(tail) {
        parameters.push((key.to_owned(), value.to_owned()));
        tail = next;
    }
    Some((&text[..main_end], &rest[..sub_end], parameters))
}

fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let text = text.trim_start().strip_prefix(';')?.trim_start();
    let key_end = text.find(|c: char| !(c.is_alphanumeric() || c == '-')).filter(|end| *end > 0)?;
    let value = text[key_end..].trim_start().strip_prefix('=')?.trim_start();
    if let Some((inside, rest)) = value.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        return Some((&text[..key_end], inside, rest));
    }
    let end = value.find(|c: char| !(c.is_alphanumeric() || matches!(c, '|' | '-'))).unwrap_or(value.len());
    (end > 0).then(|| (&text[..key_end], &value[..end], &value[end..]))
}

/// The number that a text begins with: digits, and a point only between digits. One if there is none.
fn quality(text: &str) -> f64 {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map_or(0, digits);
    let end = if whole == 0 || fraction == 0 { whole } else { whole + 1 + fraction };
    text[..end].parse().unwrap_or(1.0)
}

/// The media types of an `Accept` header, best first: by quality, then by how specific they are, then as listed.
pub fn accept(header: &str) -> Vec<MediaType> {
    if header == "*/*" {
        return vec![MediaType::Any];
    }
    if !header.contains([',', ';', ' ']) {
        return vec![MediaType::decode(header)];
    }
    let mut entries: Vec<(f64, isize, String)> = header
        .split(',')
        .map(|entry| {
            let entry: String = entry.chars().filter(|c| *c != ' ').collect();
            let (name, quality) = match entry.split_once(";q=") {
                Some((name, rest)) => (name.to_owned(), quality(rest)),
                None => (entry, 1.0),
            };
            let count = |c: char| isize::try_from(name.matches(c).count()).unwrap_or(isize::MAX);
            (quality, count(';') - count('*'), name)
        })
        .collect();
    entries.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    entries.into_iter().map(|(_, _, name)| MediaType::decode(&name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specific_types_outrank_general_ones() {
        let order = accept("text/csv, */*;q=0.8, application/vnd.pgrst.object+json;nulls=stripped");
        assert_eq!(order, [MediaType::Object { nulls_stripped: true }, MediaType::Csv, MediaType::Any]);
    }

    #[test]
    fn qualities_are_numbers_at_the_beginning() {
        assert_eq!(
            ["0.5", "0.5x", "1", "0.", ".5", "x", ""].map(quality),
            [0.5, 0.5, 1.0, 0.0, 1.0, 1.0, 1.0]
        );
    }

    #[test]
    fn plan_prints_what_it_is_for() {
        let plan =
            MediaType::decode("application/vnd.pgrst.plan; for=\"text/csv\"; options=analyze|wal|nope");
        assert_eq!(
            plan.content_type(),
            "application/vnd.pgrst.plan+text; for=\"text/csv\"; options=analyze|wal; charset=utf-8"
        );
    }

    #[test]
    fn unknown_types_keep_their_text() {
        assert_eq!(MediaType::decode("undefined").to_string(), "undefined");
        assert_eq!(
            MediaType::decode("Application/VND.pgrst.Object"),
            MediaType::Object { nulls_stripped: false }
        );
    }
}
