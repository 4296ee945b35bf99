//! Relationships between relations, and how they follow from foreign keys, views and junctions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{QualifiedName, Table};

/// A pair of columns: on this side, on the other side.
pub type ColumnPair = (Arc<str>, Arc<str>);

/// How rows of one relation belong to rows of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relationship {
    /// The relation it starts from.
    pub table: QualifiedName,
    /// The relation that is related to.
    pub target: QualifiedName,
    /// Whether both are the same.
    pub is_self: bool,
    /// How they are linked.
    pub link: Link,
    /// Whether `table` is a view.
    pub table_is_view: bool,
    /// Whether `target` is a view.
    pub target_is_view: bool,
}

/// What links two relations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// A foreign key, in one of its directions.
    Key {
        /// Which direction, and how many rows there can be.
        cardinality: Cardinality,
        /// The constraint.
        constraint: Arc<str>,
        /// The columns.
        columns: Vec<ColumnPair>,
    },
    /// A table with foreign keys to both.
    Junction(Junction),
    /// A function from a row of one to rows of the other.
    Computed {
        /// The function.
        function: QualifiedName,
        /// Whether it returns at most one row.
        to_one: bool,
    },
}

/// How many rows of the target belong to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cardinality {
    /// Any number.
    OneToMany,
    /// One; the foreign key is here.
    ManyToOne,
    /// One; and the other way round too.
    OneToOne {
        /// Whether the foreign key is on the other side.
        parent: bool,
    },
}

/// A table between two others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Junction {
    /// The table.
    pub table: QualifiedName,
    /// Its foreign key to the relation that is started from.
    pub constraint: Arc<str>,
    /// Its foreign key to the target.
    pub target_constraint: Arc<str>,
    /// Columns of the relation that is started from, and of the junction.
    pub source: Vec<ColumnPair>,
    /// Columns of the target, and of the junction.
    pub target: Vec<ColumnPair>,
}

impl Relationship {
    /// Whether at most one row of the target belongs to a row.
    pub fn is_to_one(&self) -> bool {
        match &self.link {
            Link::Key { cardinality, .. } => *cardinality != Cardinality::OneToMany,
            Link::Junction(_) => false,
            Link::Computed { to_one, .. } => *to_one,
        }
    }
}

/// The relationships of a relation, to be found by any word that can mean them.
#[derive(Debug, Default)]
pub struct Related {
    all: Vec<Relationship>,
    /// Words and positions in `all`, sorted.
    words: Box<[(Arc<str>, u32)]>,
}

impl Related {
    /// Sorts relationships and notes their words.
    pub fn new(mut all: Vec<Relationship>) -> Self {
        all.sort();
        all.shrink_to_fit();
        let mut words: Vec<(Arc<str>, u32)> = Vec::with_capacity(all.len() * 2);
        for (relationship, at) in all.iter().zip(0..) {
            let mut add = |word: &Arc<str>| words.push((word.clone(), at));
            match &relationship.link {
                Link::Computed { function, .. } => add(&function.name),
                Link::Junction(_) => add(&relationship.target.name),
                Link::Key { constraint, columns, .. } => {
                    add(&relationship.target.name);
                    add(constraint);
                    if let [(here, _)] = columns.as_slice() {
                        add(here);
                    }
                }
            }
        }
        words.sort();
        words.dedup();
        Self { all, words: words.into() }
    }

    /// All of them, sorted.
    pub fn all(&self) -> &[Relationship] {
        &self.all
    }

    /// Those that a word can mean: of their target, their constraint, their column or their function.
    pub fn meant_by(&self, word: &str) -> impl Iterator<Item = &Relationship> {
        let start = self.words.partition_point(|(known, _)| **known < *word);
        self.words[start..]
            .iter()
            .take_while(move |(known, _)| **known == *word)
            .filter_map(|(_, at)| self.all.get(*at as usize))
    }
}

/// A foreign key as the database has it.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The table that has it.
    pub table: QualifiedName,
    /// The table it refers to.
    pub target: QualifiedName,
    /// Its name.
    pub constraint: Arc<str>,
    /// The columns.
    pub columns: Vec<ColumnPair>,
    /// Whether its columns are a primary or unique key.
    pub unique: bool,
}

/// What part of a key a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// A primary key.
    Primary,
    /// The columns of a foreign key.
    Foreign,
    /// The columns a foreign key refers to.
    Referenced,
}

/// A key of a table that can be seen whole through a view.
#[derive(Clone, Debug)]
pub struct ViewKey {
    /// The table.
    pub table: QualifiedName,
    /// The view.
    pub view: QualifiedName,
    /// The constraint.
    pub constraint: Arc<str>,
    /// What of it.
    pub kind: KeyKind,
    /// For each column of the key, the columns of the view that show it: at least one.
    pub columns: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

impl ViewKey {
    /// Every way to pick one column of the view for each column of the key.
    fn choices(&self) -> Vec<Vec<Arc<str>>> {
        // A view that shows the same columns over and over could ask for any number of combinations.
        const MOST: usize = 256;
        let mut choices: Vec<Vec<Arc<str>>> = vec![Vec::new()];
        for (_, shown) in &self.columns {
            let each = MOST.div_ceil(choices.len());
            choices = choices
                .iter()
                .flat_map(|choice| {
                    shown.iter().take(each).map(|column| {
                        let mut choice = choice.clone();
                        choice.push(column.clone());
                        choice
                    })
                })
                .collect();
        }
        choices
    }
}

/// Gives views the primary keys they show.
pub fn add_view_primary_keys(tables: &mut HashMap<QualifiedName, Table>, view_keys: &[ViewKey]) {
    for key in view_keys.iter().filter(|key| key.kind == KeyKind::Primary) {
        if let Some(view) = tables.get_mut(&key.view).filter(|table| table.is_view) {
            view.primary_key.extend(key.columns.iter().filter_map(|(_, shown)| shown.first().cloned()));
        }
    }
}

/// Derives every relationship: foreign keys, the same through views, junctions, all inverses, and the computed ones, which
/// take the place of derived ones of their name.
pub fn derive(
    keys: &[ForeignKey],
    view_keys: &[ViewKey],
    computed: Vec<Relationship>,
    tables: &HashMap<QualifiedName, Table>,
) -> Vec<Relationship> {
    let mut relationships = through_views(keys, view_keys);
    relationships.extend(junctions(&relationships, tables));
    let inverses: Vec<Relationship> = relationships.iter().filter_map(inverse).collect();
    relationships.extend(inverses);

    let name = |relationship: &Relationship| match &relationship.link {
        Link::Computed { function, .. } => (relationship.table.clone(), function.clone()),
        _ => (relationship.table.clone(), relationship.target.clone()),
    };
    let computed: BTreeMap<_, _> = computed.into_iter().map(|each| (name(&each), each)).collect();
    let overridden: HashSet<_> = computed.keys().cloned().collect();
    if !overridden.is_empty() {
        relationships.retain(|relationship| !overridden.contains(&name(relationship)));
    }
    relationships.extend(computed.into_values());
    relationships
}

fn through_views(keys: &[ForeignKey], view_keys: &[ViewKey]) -> Vec<Relationship> {
    let mut by_key: HashMap<(&QualifiedName, &str, KeyKind), Vec<&ViewKey>> = HashMap::new();
    for key in view_keys {
        by_key.entry((&key.table, &key.constraint, key.kind)).or_default().push(key);
    }
    let none = Vec::new();
    let mut relationships = Vec::with_capacity(keys.len());
    for key in keys {
        let cardinality =
            if key.unique { Cardinality::OneToOne { parent: false } } else { Cardinality::ManyToOne };
        let mut add =
            |table: (&QualifiedName, bool), target: (&QualifiedName, bool), columns: Vec<ColumnPair>| {
                relationships.push(Relationship {
                    table: table.0.clone(),
                    target: target.0.clone(),
                    is_self: table.0 == target.0,
                    link: Link::Key { cardinality, constraint: key.constraint.clone(), columns },
                    table_is_view: table.1,
                    target_is_view: target.1,
                });
            };
        add((&key.table, false), (&key.target, false), key.columns.clone());
        let from_views = by_key.get(&(&key.table, &*key.constraint, KeyKind::Foreign)).unwrap_or(&none);
        let to_views = by_key.get(&(&key.target, &*key.constraint, KeyKind::Referenced)).unwrap_or(&none);
        for view in from_views {
            for choice in view.choices() {
                let pairs = choice.iter().cloned().zip(key.columns.iter().map(|pair| pair.1.clone()));
                add((&view.view, true), (&key.target, false), pairs.collect());
            }
        }
        for view in to_views {
            for choice in view.choices() {
                let pairs = key.columns.iter().map(|pair| pair.0.clone()).zip(choice.iter().cloned());
                add((&key.table, false), (&view.view, true), pairs.collect());
            }
        }
        for from in from_views {
            for from_choice in from.choices() {
                for to in to_views {
                    for to_choice in to.choices() {
                        let pairs = from_choice.iter().cloned().zip(to_choice.iter().cloned());
                        add((&from.view, true), (&to.view, true), pairs.collect());
                    }
                }
            }
        }
    }
    relationships
}

fn inverse(relationship: &Relationship) -> Option<Relationship> {
    let Link::Key { cardinality, constraint, columns } = &relationship.link else { return None };
    let cardinality = match cardinality {
        Cardinality::ManyToOne => Cardinality::OneToMany,
        Cardinality::OneToOne { parent } => Cardinality::OneToOne { parent: !parent },
        Cardinality::OneToMany => return None,
    };
    Some(Relationship {
        table: relationship.target.clone(),
        target: relationship.table.clone(),
        is_self: relationship.is_self,
        link: Link::Key { cardinality, constraint: constraint.clone(), columns: swap(columns) },
        table_is_view: relationship.target_is_view,
        target_is_view: relationship.table_is_view,
    })
}

fn swap(columns: &[ColumnPair]) -> Vec<ColumnPair> {
    columns.iter().map(|(a, b)| (b.clone(), a.clone())).collect()
}

/// Every pair of different foreign keys of one relation whose columns are all part of its primary key.
fn junctions(relationships: &[Relationship], tables: &HashMap<QualifiedName, Table>) -> Vec<Relationship> {
    let mut by_table: BTreeMap<&QualifiedName, Vec<&Relationship>> = BTreeMap::new();
    for relationship in relationships {
        if let Link::Key { cardinality: Cardinality::ManyToOne, columns, .. } = &relationship.link
            && let Some(table) = tables.get(&relationship.table)
            && columns.iter().all(|(column, _)| table.primary_key.contains(column))
        {
            by_table.entry(&relationship.table).or_default().push(relationship);
        }
    }
    let mut junctions = Vec::new();
    for (table, keys) in by_table {
        for here in &keys {
            for there in &keys {
                let (
                    Link::Key { constraint, columns, .. },
                    Link::Key { constraint: other, columns: others, .. },
                ) = (&here.link, &there.link)
                else {
                    continue;
                };
                if constraint == other {
                    continue;
                }
                junctions.push(Relationship {
                    table: here.target.clone(),
                    target: there.target.clone(),
                    is_self: here.target == there.target,
                    link: Link::Junction(Junction {
                        table: table.clone(),
                        constraint: constraint.clone(),
                        target_constraint: other.clone(),
                        source: swap(columns),
                        target: swap(others),
                    }),
                    table_is_view: here.target_is_view,
                    target_is_view: there.target_is_view,
                });
            }
        }
    }
    junctions
}
