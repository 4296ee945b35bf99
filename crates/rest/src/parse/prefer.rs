//! The `Prefer` header.

use std::collections::HashSet;

use super::range;

/// `resolution=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Update the row that is there.
    MergeDuplicates,
    /// Leave the row that is there.
    IgnoreDuplicates,
}

/// `return=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The changed rows.
    Representation,
    /// Nothing.
    Minimal,
    /// Nothing but a `Location`.
    HeadersOnly,
}

/// `count=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Count every row.
    Exact,
    /// Ask the query planner.
    Planned,
    /// Count up to the row limit, ask the planner beyond.
    Estimated,
}

/// `tx=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Keep the changes.
    Commit,
    /// Undo the changes after answering.
    Rollback,
}

/// `missing=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The column's default.
    Default,
    /// Null.
    Null,
}

/// `handling=`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// Refuse unknown preferences.
    Strict,
    /// Ignore them.
    Lenient,
}

/// What the client prefers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `resolution=`
    pub resolution: Option<Resolution>,
    /// `return=`
    pub representation: Option<Return>,
    /// `count=`
    pub count: Option<Count>,
    /// `tx=`, only where the configuration lets clients choose.
    pub transaction: Option<TransactionEnd>,
    /// `missing=`
    pub missing: Option<Missing>,
    /// `handling=`
    pub handling: Option<Handling>,
    /// `timezone=`, if the server knows it.
    pub timezone: Option<String>,
    /// `max-affected=`
    pub max_affected: Option<i64>,
    /// What was not understood.
    pub invalid: Vec<String>,
}

impl Preferences {
    /// Reads all `Prefer` lines. `timezones` are the names the database knows.
    pub fn parse<'a>(
        lines: impl Iterator<Item = &'a str>,
        choose_transaction_end: bool,
        timezones: &HashSet<Box<str>>,
    ) -> Self {
        let mut prefer = Self::default();
        let mut timezone = None;
        let mut max_affected_seen = false;
        let lines = lines.filter(|line| !line.is_empty());
        for preference in lines.flat_map(|line| line.split(',')).map(str::trim) {
            match preference {
                "resolution=merge-duplicates" => set(&mut prefer.resolution, Resolution::MergeDuplicates),
                "resolution=ignore-duplicates" => set(&mut prefer.resolution, Resolution::IgnoreDuplicates),
                "return=representation" => set(&mut prefer.representation, Return::Representation),
                "return=minimal" => set(&mut prefer.representation, Return::Minimal),
                "return=headers-only" => set(&mut prefer.representation, Return::HeadersOnly),
                "count=exact" => set(&mut prefer.count, Count::Exact),
                "count=planned" => set(&mut prefer.count, Count::Planned),
                "count=estimated" => set(&mut prefer.count, Count::Estimated),
                "tx=commit" if choose_transaction_end => set(&mut prefer.transaction, TransactionEnd::Commit),
                "tx=rollback" if choose_transaction_end => {
                    set(&mut prefer.transaction, TransactionEnd::Rollback);
                }
                "tx=commit" | "tx=rollback" => {}
                "missing=default" => set(&mut prefer.missing, Missing::Default),
                "missing=null" => set(&mut prefer.missing, Missing::Null),
                "handling=strict" => set(&mut prefer.handling, Handling::Strict),
                "handling=lenient" => set(&mut prefer.handling, Handling::Lenient),
                other => {
                    if let Some(name) = other.strip_prefix("timezone=") {
                        // The first decides for all of them.
                        if *timezone.get_or_insert_with(|| timezones.contains(name)) {
                            prefer.timezone.get_or_insert_with(|| name.to_owned());
                        } else {
                            prefer.invalid.push(other.to_owned());
                        }
                    } else if let Some(number) = other.strip_prefix("max-affected=") {
                        if !max_affected_seen {
                            prefer.max_affected =
                                range::integer(number).and_then(|number| number.try_into().ok());
                        }
                        max_affected_seen = true;
                    } else {
                        prefer.invalid.push(other.to_owned());
                    }
                }
            }
        }
        prefer
    }

    /// Whether unknown preferences are errors.
    pub fn strict(&self) -> bool {
        self.handling == Some(Handling::Strict)
    }

    /// The most rows a change may touch, if that is to be enforced.
    pub fn enforced_max_affected(&self) -> Option<i64> {
        self.max_affected.filter(|_| self.strict())
    }

    /// Whether rows are counted exactly.
    pub fn counts(&self) -> bool {
        matches!(self.count, Some(Count::Exact | Count::Estimated))
    }

    /// Whether the changed rows are wanted.
    pub fn wants_representation(&self) -> bool {
        self.representation == Some(Return::Representation)
    }

    /// `Preference-Applied`, of the preferences that matter to an action.
    pub fn applied(&self, eligible: Eligible) -> Option<String> {
        let mut applied: Vec<String> = Vec::new();
        if eligible.resolution {
            applied.extend(self.resolution.map(|value| match value {
                Resolution::MergeDuplicates => "resolution=merge-duplicates".to_owned(),
                Resolution::IgnoreDuplicates => "resolution=ignore-duplicates".to_owned(),
            }));
        }
        if eligible.missing {
            applied.extend(self.missing.map(|value| match value {
                Missing::Default => "missing=default".to_owned(),
                Missing::Null => "missing=null".to_owned(),
            }));
        }
        if eligible.representation {
            applied.extend(self.representation.map(|value| match value {
                Return::Representation => "return=representation".to_owned(),
                Return::Minimal => "return=minimal".to_owned(),
                Return::HeadersOnly => "return=headers-only".to_owned(),
            }));
        }
        applied.extend(self.count.map(|value| match value {
            Count::Exact => "count=exact".to_owned(),
            Count::Planned => "count=planned".to_owned(),
            Count::Estimated => "count=estimated".to_owned(),
        }));
        applied.extend(self.transaction.map(|value| match value {
            TransactionEnd::Commit => "tx=commit".to_owned(),
            TransactionEnd::Rollback => "tx=rollback".to_owned(),
        }));
        applied.extend(self.handling.map(|value| match value {
            Handling::Strict => "handling=strict".to_owned(),
            Handling::Lenient => "handling=lenient".to_owned(),
        }));
        applied.extend(self.timezone.as_ref().map(|name| format!("timezone={name}")));
        if eligible.max_affected {
            applied.extend(self.enforced_max_affected().map(|max| format!("max-affected={max}")));
        }
        (!applied.is_empty()).then(|| applied.join(", "))
    }
}

/// Which preferences an action can apply, beside those that every action can.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eligible {
    /// `resolution=`
    pub resolution: bool,
    /// `missing=`
    pub missing: bool,
    /// `return=`
    pub representation: bool,
    /// `max-affected=`
    pub max_affected: bool,
}

fn set<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Preferences {
        let timezones = ["UTC", "Asia/Tokyo"].map(Box::from).into();
        Preferences::parse(lines.iter().copied(), false, &timezones)
    }

    #[test]
    fn the_first_of_each_kind_counts() {
        let prefer =
            parse(&["count=exact, timezone=UTC,count=planned", "", "timezone=nowhere, max-affected= -3"]);
        assert_eq!((prefer.count, prefer.timezone.as_deref()), (Some(Count::Exact), Some("UTC")));
        assert_eq!((prefer.max_affected, prefer.invalid.len()), (Some(-3), 0));
    }

    #[test]
    fn what_is_not_known_is_named() {
        let prefer = parse(&["timezone=nowhere, tx=commit, a ,,timezone=UTC", "max-affected=+3"]);
        assert_eq!((prefer.timezone, prefer.max_affected), (None, None));
        assert_eq!(prefer.invalid, ["timezone=nowhere", "a", "", "timezone=UTC"]);
    }
}
