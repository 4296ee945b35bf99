//! Reads a parsed `config.toml` together with the environment into the structs of [`crate::file`],
//! keeping for every value where it came from.
//!
//! A struct is declared with [`section!`]: one line a key, with its type and default. Reading is one
//! walk over those declarations, so that a key cannot be known to one part (defaults, environment,
//! `config show`, spelling suggestions) and unknown to another.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::aliases;
use crate::environment::Environment;
use crate::error::{ConfigError, Lines, Location, Notice, suggestion};
use crate::origin::{Entry, Origin};
use crate::secret::Secret;
use crate::units::{ByteSize, GoDuration};

pub(crate) type Node<'a> = &'a Spanned<DeValue<'a>>;

/// The walk's state.
pub(crate) struct Reader<'a> {
    pub(crate) lines: Lines<'a>,
    pub(crate) file: &'a Path,
    pub(crate) environment: &'a Environment,
    pub(crate) entries: Vec<Entry>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) problems: Vec<ConfigError>,
    /// How many keys were unknown.
    pub(crate) unknown: usize,
    /// Inside a section that is switched off: what it refers to need not be there.
    pub(crate) switched_off: bool,
}

/// So many unknown keys are told one by one: more is another program's file.
pub(crate) const TOLD_UNKNOWN: usize = 20;

/// Something that a key can hold: a single value or a whole section.
pub(crate) trait Field: Sized {
    fn read(
        reader: &mut Reader<'_>,
        path: &str,
        node: Option<Node<'_>>,
        default: Option<fn() -> Self>,
    ) -> Self;
}

/// A single value.
pub(crate) trait Setting: Sized {
    /// What is accepted, as an error message names it.
    const EXPECTED: &'static str;
    /// The value of a key without a default that is nowhere set.
    fn unset() -> Self;
    fn from_toml(value: &DeValue<'_>) -> Option<Self>;
    /// From an environment variable.
    fn from_text(text: &str) -> Option<Self>;
    /// For `config show`: TOML notation, secrets masked; none when there is no value.
    fn show(&self) -> Option<String>;
}

impl<'a> Reader<'a> {
    pub(crate) fn location(&self, node: Node<'_>) -> Location {
        self.lines.location(self.file, node.span().start)
    }

    /// The table at a path; a problem when something else is there.
    pub(crate) fn table<'n>(&mut self, path: &str, node: Option<Node<'n>>) -> Option<&'n DeTable<'n>> {
        let node = node?;
        let table = node.get_ref().as_table();
        if table.is_none() {
            let found = describe(node.get_ref());
            let location = self.location(node);
            self.problems.push(
                ConfigError::new(format!("`{path}` must be a section, not {found}"))
                    .at(location)
                    .hint(format!("write `[{path}]` on a line of its own and its keys below it")),
            );
        }
        table
    }

    /// Begins a section; returns what [`Reader::leave`] needs.
    pub(crate) fn enter(&mut self, table: Option<&DeTable<'_>>) -> bool {
        let before = self.switched_off;
        let enabled = table.and_then(|table| table.get("enabled")?.get_ref().as_bool());
        self.switched_off |= enabled == Some(false);
        before
    }

    /// Ends a section.
    pub(crate) fn leave(&mut self, before: bool) {
        self.switched_off = before;
    }

    /// Reports the keys of a table that are none of `known`.
    pub(crate) fn unknown_keys(&mut self, path: &str, table: Option<&DeTable<'_>>, known: &[&'static str]) {
        for (key, _) in table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            self.unknown += 1;
            if self.unknown > TOLD_UNKNOWN {
                continue;
            }
            let location = self.lines.location(self.file, key.span().start);
            let shown: String = join(path, name).chars().take(120).collect();
            let mut notice = Notice::new(format!("{location}: unknown key `{shown}`"));
            if let Some(meant) = suggestion(name, known.iter().copied()) {
                notice = notice.hint(format!("did you mean `{meant}`?"));
            }
            self.notices.push(notice);
        }
    }

    fn setting<T: Setting>(&mut self, path: &str, node: Option<Node<'_>>, default: Option<fn() -> T>) -> T {
        let (value, origin) = self
            .environment_value(path)
            .or_else(|| node.and_then(|node| self.file_value(path, node)))
            .unwrap_or_else(|| (default.map_or_else(T::unset, |default| default()), Origin::Default));
        self.entries.push(Entry { path: path.to_owned(), shown: value.show(), origin });
        value
    }

    fn environment_value<T: Setting>(&mut self, path: &str) -> Option<(T, Origin)> {
        let environment = self.environment;
        for alias in aliases::names_of(path) {
            let Some(text) = environment.get(&alias.name) else { continue };
            let origin = Origin::variable(&alias.name, environment);
            let text = if alias.negated { negate(text) } else { Some(text) };
            match text.and_then(T::from_text) {
                Some(value) => return Some((value, origin)),
                None => self.problems.push(ConfigError::new(format!(
                    "{} must be {}: it sets `{path}`",
                    alias.name,
                    T::EXPECTED
                ))),
            }
        }
        None
    }

    fn file_value<T: Setting>(&mut self, path: &str, node: Node<'_>) -> Option<(T, Origin)> {
        let location = self.location(node);
        let mut unset = None;
        if let Some(name) = node.get_ref().as_str().and_then(env_reference) {
            match self.environment.get(name) {
                Some(text) => {
                    return T::from_text(text)
                        .map(|value| {
                            let origin =
                                Origin::Reference { name: name.to_owned(), location: location.clone() };
                            (value, origin)
                        })
                        .or_else(|| {
                            self.problems.push(
                                ConfigError::new(format!("{name} must be {}: it sets `{path}`", T::EXPECTED))
                                    .at(location.clone()),
                            );
                            None
                        });
                }
                None => {
                    // The CLI's template refers to OPENAI_API_KEY in every project.
                    if !self.switched_off && path != "studio.openai_api_key" {
                        self.notices.push(Notice::new(format!(
                            "{location}: `{path}` refers to {name}, which is not set"
                        )));
                    }
                    unset = Some(name);
                }
            }
        }
        let substituted = self.substitute_elements(node.get_ref());
        match T::from_toml(substituted.as_ref().unwrap_or(node.get_ref())) {
            Some(value) => Some((value, Origin::File(location))),
            None => {
                let found = describe(node.get_ref());
                let error = ConfigError::new(format!("`{path}` must be {}, not {found}", T::EXPECTED));
                let error = match unset {
                    Some(name) => error.hint(format!("set {name} in the environment or in .env")),
                    None => error,
                };
                self.problems.push(error.at(location));
                None
            }
        }
    }

    /// An array with its `env(NAME)` elements replaced; none when there is nothing to replace.
    fn substitute_elements<'v>(&self, value: &DeValue<'v>) -> Option<DeValue<'v>> {
        let array = value.as_array()?;
        let resolve = |element: &Spanned<DeValue<'v>>| {
            let name = element.get_ref().as_str().and_then(env_reference)?;
            self.environment.get(name).map(str::to_owned)
        };
        if !array.iter().any(|element| resolve(element).is_some()) {
            return None;
        }
        let mut replaced = array.clone();
        for element in replaced.iter_mut() {
            if let Some(text) = resolve(element) {
                *element = Spanned::new(element.span(), DeValue::String(text.into()));
            }
        }
        Some(DeValue::Array(replaced))
    }
}

/// The name in `env(NAME)`, which must be the whole string.
pub(crate) fn env_reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix("env(")?.strip_suffix(')')?;
    let well_formed = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    well_formed.then_some(name)
}

fn negate(text: &str) -> Option<&'static str> {
    bool::from_text(text).map(|value| if value { "false" } else { "true" })
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

macro_rules! leaf_fields {
    ($($type:ty),*) => {
        $(impl Field for $type {
            fn read(reader: &mut Reader<'_>, path: &str, node: Option<Node<'_>>, default: Option<fn() -> Self>) -> Self {
                reader.setting(path, node, default)
            }
        })*
    };
}
leaf_fields!(bool, u8, u16, u32, u64, String, Vec<String>, GoDuration, ByteSize, Secret, Vec<Secret>);

impl<T: Setting> Field for Option<T> {
    fn read(
        reader: &mut Reader<'_>,
        path: &str,
        node: Option<Node<'_>>,
        default: Option<fn() -> Self>,
    ) -> Self {
        reader.setting(path, node, default)
    }
}

impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn unset() -> Self {
        None
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        T::from_toml(value).map(Some)
    }
    fn from_text(text: &str) -> Option<Self> {
        T::from_text(text).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";
    fn unset() -> Self {
        false
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_bool()
    }
    fn from_text(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "on" => Some(true),
            "false" | "f" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! number_settings {
    ($($type:ty => $expected:literal),*) => {
        $(impl Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn unset() -> Self {
                0
            }
            fn from_toml(value: &DeValue<'_>) -> Option<Self> {
                let integer = value.as_integer()?;
                <$type>::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            fn from_text(text: &str) -> Option<Self> {
                text.trim().parse().ok()
            }
            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}
number_settings!(
    u8 => "a number from 0 to 255",
    u16 => "a number from 0 to 65535",
    u32 => "a number from 0 to 4294967295",
    u64 => "a number that is not negative"
);

impl Setting for String {
    const EXPECTED: &'static str = "a string";
    fn unset() -> Self {
        String::new()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for Secret {
    const EXPECTED: &'static str = "a string";
    fn unset() -> Self {
        Secret::default()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str().map(Secret::new)
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(Secret::new(text))
    }
    fn show(&self) -> Option<String> {
        // The length is masked too.
        (!self.is_empty()).then(|| "\"********\"".to_owned())
    }
}

impl Setting for Vec<String> {
    const EXPECTED: &'static str = "a list of strings";
    fn unset() -> Self {
        Vec::new()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        let list = value.as_array()?;
        list.iter().map(|element| element.get_ref().as_str().map(str::to_owned)).collect()
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
    fn show(&self) -> Option<String> {
        let parts: Vec<String> = self.iter().map(|part| quoted(part)).collect();
        Some(format!("[{}]", parts.join(", ")))
    }
}

/// One secret as a string, or several as a list.
impl Setting for Vec<Secret> {
    const EXPECTED: &'static str = "a string or a list of strings";
    fn unset() -> Self {
        Vec::new()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::String(text) => Some(vec![Secret::new(text.as_ref())]),
            _ => Some(Vec::<String>::from_toml(value)?.into_iter().map(Secret::new).collect()),
        }
    }
    fn from_text(text: &str) -> Option<Self> {
        Some(vec![Secret::new(text)])
    }
    fn show(&self) -> Option<String> {
        (!self.is_empty()).then(|| "\"********\"".to_owned())
    }
}

impl Setting for GoDuration {
    const EXPECTED: &'static str = "a duration such as \"1s\", \"2m\" or \"24h\"";
    fn unset() -> Self {
        GoDuration::default()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        value.as_str()?.parse().ok()
    }
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

impl Setting for ByteSize {
    const EXPECTED: &'static str = "a size such as \"50MiB\"";
    fn unset() -> Self {
        ByteSize::default()
    }
    fn from_toml(value: &DeValue<'_>) -> Option<Self> {
        match value {
            DeValue::Integer(_) => u64::from_toml(value).map(ByteSize),
            _ => value.as_str()?.parse().ok(),
        }
    }
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
}

/// A section whose keys are chosen by the user: buckets, functions, providers.
pub type Named<T> = BTreeMap<String, T>;

impl<T: Field> Field for BTreeMap<String, T> {
    fn read(reader: &mut Reader<'_>, path: &str, node: Option<Node<'_>>, _: Option<fn() -> Self>) -> Self {
        let table = reader.table(path, node);
        let mut read = BTreeMap::new();
        for (key, node) in table.into_iter().flat_map(|table| table.iter()) {
            let name: &str = key.get_ref();
            read.insert(name.to_owned(), T::read(reader, &join(path, name), Some(node), None));
        }
        // Names that only the environment speaks of, where the names are known in advance.
        for name in aliases::known_names(path) {
            if !read.contains_key(*name) && aliases::environment_speaks_of(path, name, reader.environment) {
                read.insert((*name).to_owned(), T::read(reader, &join(path, name), None, None));
            }
        }
        read
    }
}

/// Accepted and kept out of the way: read by other tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Foreign;

impl Field for Foreign {
    fn read(_: &mut Reader<'_>, _: &str, _: Option<Node<'_>>, _: Option<fn() -> Self>) -> Self {
        Foreign
    }
}

/// Declares a section: `key: Type = default`, the default left out where the key has none.
/// `key | older: Type` also reads an older name.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$field_meta:meta])* $field:ident $(| $older:ident)* : $type:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[allow(missing_docs)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type),*
        }

        impl $crate::reader::Field for $name {
            fn read(
                reader: &mut $crate::reader::Reader<'_>,
                path: &str,
                node: Option<$crate::reader::Node<'_>>,
                _: Option<fn() -> Self>,
            ) -> Self {
                let table = reader.table(path, node);
                reader.unknown_keys(path, table, &[$(stringify!($field), $(stringify!($older),)*)*]);
                let before = reader.enter(table);
                let section = $name {
                    $($field: {
                        let node = table.and_then(|table| {
                            table.get(stringify!($field))$(.or_else(|| table.get(stringify!($older))))*
                        });
                        let default: Option<fn() -> $type> = None$(.or(Some(|| $default.into())))?;
                        $crate::reader::Field::read(
                            reader,
                            &$crate::reader::join(path, stringify!($field)),
                            node,
                            default,
                        )
                    }),*
                };
                reader.leave(before);
                section
            }
        }
    };
}
pub(crate) use section;

/// Declares a setting that is one of a few words.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident ($expected:literal) { $($(#[$variant_meta:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),*
        }

        impl $name {
            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text),*
                }
            }

            const FIRST: $name = [$($name::$variant),*][0];
        }

        impl $crate::reader::Setting for $name {
            const EXPECTED: &'static str = $expected;
            fn unset() -> Self {
                $name::FIRST
            }
            fn from_toml(value: &toml::de::DeValue<'_>) -> Option<Self> {
                Self::from_text(value.as_str()?)
            }
            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($text => Some($name::$variant),)*
                    _ => None,
                }
            }
            fn show(&self) -> Option<String> {
                Some($crate::reader::quoted(self.as_str()))
            }
        }

        impl $crate::reader::Field for $name {
            fn read(
                reader: &mut $crate::reader::Reader<'_>,
                path: &str,
                node: Option<$crate::reader::Node<'_>>,
                default: Option<fn() -> Self>,
            ) -> Self {
                $crate::reader::read_choice(reader, path, node, default)
            }
        }
    };
}
pub(crate) use choice;

pub(crate) fn read_choice<T: Setting>(
    reader: &mut Reader<'_>,
    path: &str,
    node: Option<Node<'_>>,
    default: Option<fn() -> T>,
) -> T {
    reader.setting(path, node, default)
}
