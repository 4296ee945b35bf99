//! Finding the relationship that an embed means.

use std::borrow::Cow;

use serde_json::{Value, json};
use smallvec::SmallVec;

use crate::catalog::{Cardinality, Catalog, Link, Related, Relationship};
use crate::error::Error;
use crate::fuzzy;
use crate::parse::request::{Action, Request};
use crate::plan::tree::{JoinCondition, ReadNode, Source, Spread};

/// The common table that holds what a change or a function returned.
pub(crate) const SOURCE: &str = "pgrst_source";

/// Joins every embed to its parent.
pub(crate) fn relate<'a>(
    root: &mut ReadNode<'a>,
    request: &'a Request,
    catalog: &'a Catalog,
    schema: &'a str,
) -> Result<(), Error> {
    if request.action.mutates() || matches!(request.action, Action::Call(_)) {
        root.from_alias = Some(root.from.name.clone());
        root.from = Source::alias(SOURCE);
    }
    children(root, catalog, schema)
}

fn children<'a>(parent: &mut ReadNode<'a>, catalog: &'a Catalog, schema: &'a str) -> Result<(), Error> {
    let origin = match &parent.from_alias {
        Some(alias) if parent.depth == 0 => alias.clone(),
        _ => parent.from.name.clone(),
    };
    let parent_source = match &parent.from_alias {
        Some(alias) => Source::alias(alias.clone()),
        None => parent.from.clone(),
    };
    let alias_of_parent = parent.from_alias.clone();
    for child in &mut parent.children {
        let relationship = find(catalog, schema, &origin, child.name, child.hint)?;
        let alias: Cow<'a, str> = Cow::Owned(format!("{}_{}", relationship.target.name, child.depth));
        child.aggregate_alias =
            format!("{}_{}_{}", relationship.table.name, child.output_name(), child.depth);
        child.from = Source::table(&relationship.target.schema, &relationship.target.name);
        child.relation = (&relationship.target.schema, Cow::Borrowed(&*relationship.target.name));
        child.relationship = Some(relationship);
        if child.spread.is_some() && !relationship.is_to_one() {
            child.spread = Some(Spread::ToMany { extra: Vec::new(), order: Vec::new() });
        }
        match &relationship.link {
            Link::Key { columns, .. } => {
                child.join_conditions = columns
                    .iter()
                    .map(|(here, there)| JoinCondition {
                        left: (Source::alias(alias.clone()), &**there),
                        right: (parent_source.clone(), &**here),
                    })
                    .collect();
                child.from_alias = Some(alias);
            }
            Link::Junction(junction) => {
                // A junction is joined by name, without aliases.
                let table = Source::table(&junction.table.schema, &junction.table.name);
                let to_target = junction.target.iter().map(|(there, here)| JoinCondition {
                    left: (table.clone(), &**here),
                    right: (child.from.clone(), &**there),
                });
                let to_parent = junction.source.iter().map(|(there, here)| JoinCondition {
                    left: (table.clone(), &**here),
                    right: (parent_source.clone(), &**there),
                });
                child.join_conditions = to_target.chain(to_parent).collect();
            }
            Link::Computed { .. } => {
                child.parent_alias =
                    Some(alias_of_parent.clone().unwrap_or(Cow::Borrowed(&*relationship.table.name)));
                child.from_alias = Some(alias);
            }
        }
        children(child, catalog, schema)?;
    }
    Ok(())
}

fn find<'a>(
    catalog: &'a Catalog,
    schema: &str,
    origin: &str,
    target: &str,
    hint: Option<&str>,
) -> Result<&'a Relationship, Error> {
    let all = catalog.relationships(schema, origin);
    // Mostly there is one, and nothing to be put in order.
    let mut found: SmallVec<[&'a Relationship; 2]> = all
        .into_iter()
        .flat_map(|all| all.meant_by(target))
        .filter(|relationship| is_meant(relationship, target, hint))
        .collect();
    match found.len() {
        0 => Err(Error::NoRelationship {
            parent: origin.to_owned(),
            child: target.to_owned(),
            hint: hint.map(str::to_owned),
            schema: schema.to_owned(),
            suggestion: suggestion(catalog, schema, origin, target, all.map(Related::all)),
        }),
        1 => Ok(found[0]),
        _ => {
            found.sort_by(|a, b| order(a).cmp(&order(b)));
            Err(ambiguous(origin, target, &found))
        }
    }
}

/// Whether `target` and `hint` name this relationship.
fn is_meant(relationship: &Relationship, target: &str, hint: Option<&str>) -> bool {
    let is_target = target == &*relationship.target.name;
    let (cardinality, constraint, single) = match &relationship.link {
        Link::Computed { function, .. } => return target == &*function.name,
        Link::Junction(junction) => {
            return !relationship.is_self
                && is_target
                && hint.is_none_or(|hint| hint == &*junction.table.name);
        }
        Link::Key { cardinality, constraint, columns } => {
            (*cardinality, &**constraint, if let [single] = columns.as_slice() { Some(single) } else { None })
        }
    };
    let by_column = |name: &str| single.is_some_and(|(here, _)| name == &**here);
    let by_other_column = |name: &str| single.is_some_and(|(_, there)| name == &**there);
    match (relationship.is_self, hint) {
        // One key, two relationships: the table's name means the children, the column's name the parent.
        (true, None) => {
            (is_target && cardinality == Cardinality::OneToMany)
                || (by_column(target) && cardinality == Cardinality::ManyToOne)
        }
        (true, Some(hint)) => is_target && cardinality == Cardinality::OneToMany && by_other_column(hint),
        (false, None) => {
            is_target || (!relationship.target_is_view && (target == constraint || by_column(target)))
        }
        (false, Some(hint)) => is_target && (hint == constraint || by_column(hint) || by_other_column(hint)),
    }
}

/// The order in which candidates are listed: computed ones come last.
fn order(relationship: &Relationship) -> impl Ord {
    let (rank, name, columns) = match &relationship.link {
        Link::Key { cardinality, constraint, columns } => {
            let rank = match cardinality {
                Cardinality::OneToMany => 0,
                Cardinality::ManyToOne => 1,
                Cardinality::OneToOne { .. } => 2,
            };
            (rank, constraint.clone(), columns.clone())
        }
        Link::Junction(junction) => (3, junction.table.name.clone(), Vec::new()),
        Link::Computed { function, .. } => (4, function.name.clone(), Vec::new()),
    };
    (rank == 4, relationship.target.clone(), relationship.is_self, rank, name, columns)
}

fn ambiguous(origin: &str, target: &str, found: &[&Relationship]) -> Error {
    let list = |names: Vec<&str>| names.join(", ");
    let mut candidates: Vec<Value> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for relationship in found {
        let (table, other) = (&relationship.table.name, &relationship.target.name);
        let (cardinality, text, hint) = match &relationship.link {
            Link::Key { cardinality, constraint, columns } => {
                let cardinality = match cardinality {
                    Cardinality::OneToMany => "one-to-many",
                    Cardinality::ManyToOne => "many-to-one",
                    Cardinality::OneToOne { .. } => "one-to-one",
                };
                let here = list(columns.iter().map(|(here, _)| &**here).collect());
                let there = list(columns.iter().map(|(_, there)| &**there).collect());
                (cardinality, format!("{constraint} using {table}({here}) and {other}({there})"), constraint)
            }
            Link::Junction(junction) => {
                let here = list(junction.source.iter().map(|(_, here)| &**here).collect());
                let there = list(junction.target.iter().map(|(_, there)| &**there).collect());
                let text = format!(
                    "{} using {}({here}) and {}({there})",
                    junction.table.name, junction.constraint, junction.target_constraint
                );
                ("many-to-many", text, &junction.table.name)
            }
            // Of these nothing is said. Their names are unique, but may be those of columns and constraints.
            Link::Computed { .. } => {
                candidates.push(json!({}));
                hints.push(String::new());
                continue;
            }
        };
        candidates.push(json!({
            "cardinality": cardinality,
            "embedding": format!("{table} with {other}"),
            "relationship": text,
        }));
        hints.push(format!("'{other}!{hint}'"));
    }
    Error::AmbiguousRelationship {
        parent: origin.to_owned(),
        child: target.to_owned(),
        candidates,
        hints: hints.join(", "),
    }
}

fn suggestion(
    catalog: &Catalog,
    schema: &str,
    origin: &str,
    target: &str,
    of_origin: Option<&[Relationship]>,
) -> Option<String> {
    match of_origin {
        None => {
            let origins = catalog.schema(schema)?.relationships.keys().map(|name| &**name);
            let found = fuzzy::best(origins, origin)?;
            Some(format!("Perhaps you meant '{found}' instead of '{origin}'."))
        }
        Some(relationships) => {
            let targets = relationships.iter().map(|relationship| &*relationship.target.name);
            let found = fuzzy::best_inexact(targets, target)?;
            Some(format!("Perhaps you meant '{found}' instead of '{target}'."))
        }
    }
}
