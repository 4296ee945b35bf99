//! Which columns of tables views show.
//!
//! A view's stored query names, for each of its columns, the relation and column it comes from, if it is that column and
//! not computed. Following these through views of views leads to the keys of tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A view's column and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The column of the view, from one.
    pub column: i16,
    /// The relation it comes from.
    pub relation: u32,
    /// The column there, from one.
    pub origin: i16,
}

/// Reads the columns of a view from its rule action (`pg_rewrite.ev_action`), a `pg_node_tree` in its text form.
///
/// The form is: `{NODE :field value …}` for nodes, `(…)` for lists, blanks between, `\` before special characters in
/// names. Only the target list of the outermost query is looked at.
pub fn origins(node_tree: &str) -> Vec<Origin> {
    /// `({QUERY … :targetList ({TARGETENTRY …`
    const QUERY: usize = 2;
    const ENTRY: usize = 4;
    let mut origins = Vec::new();
    let mut depth = 0usize;
    let mut in_targets = false;
    let (mut column, mut relation, mut origin) = (0i16, 0u32, 0i16);
    let mut field = "";
    let bytes = node_tree.as_bytes();
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'{' | b'(' => depth += 1,
            b'}' | b')' => {
                if in_targets && depth == ENTRY && relation != 0 && origin != 0 {
                    origins.push(Origin { column, relation, origin });
                }
                if depth == ENTRY {
                    (column, relation, origin) = (0, 0, 0);
                }
                if in_targets && depth == QUERY + 1 {
                    return origins;
                }
                depth = depth.saturating_sub(1);
            }
            b' ' | b'\n' => {}
            _ => {
                let start = position;
                while position < bytes.len()
                    && !matches!(bytes[position], b' ' | b'\n' | b'{' | b'}' | b'(' | b')')
                {
                    position += if bytes[position] == b'\\' { 2 } else { 1 };
                }
                let end = position.min(bytes.len());
                let token = node_tree.get(start..end).unwrap_or("");
                if token.starts_with(':') {
                    field = token;
                    if depth == QUERY && token == ":targetList" {
                        in_targets = true;
                    }
                } else if in_targets && depth == ENTRY {
                    match field {
                        ":resno" => column = token.parse().unwrap_or(0),
                        ":resorigtbl" => relation = token.parse().unwrap_or(0),
                        ":resorigcol" => origin = token.parse().unwrap_or(0),
                        _ => {}
                    }
                }
                continue;
            }
        }
        position += 1;
    }
    origins
}

/// For each view, the columns of tables it shows, with the view's columns that show them.
pub type Shown = HashMap<u32, BTreeMap<(u32, i16), BTreeSet<i16>>>;

/// Follows the columns of views through other views.
pub fn follow(views: &HashMap<u32, Vec<Origin>>, of: impl Iterator<Item = u32>) -> Shown {
    let mut shown = Shown::new();
    for view in of {
        let columns: &mut BTreeMap<_, BTreeSet<i16>> = shown.entry(view).or_default();
        for first in views.get(&view).map_or(&[][..], Vec::as_slice) {
            let mut path = vec![view];
            let mut here = (first.relation, first.origin);
            loop {
                columns.entry(here).or_default().insert(first.column);
                // A view may, through others, show itself.
                if path.contains(&here.0) {
                    break;
                }
                path.push(here.0);
                let next = views.get(&here.0).and_then(|all| all.iter().find(|each| each.column == here.1));
                match next {
                    Some(next) => here = (next.relation, next.origin),
                    None => break,
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_lists_are_read() {
        let tree = r"({QUERY :commandType 1 :cteList <> :targetList ({TARGETENTRY :expr {VAR :varno 1 :resno 9} :resno 1 :resname odd\ name\} :ressortgroupref 0 :resorigtbl 16400 :resorigcol 2 :resjunk false} {TARGETENTRY :expr {CONST} :resno 2 :resname c :resorigtbl 0 :resorigcol 0 :resjunk false}) :override 0 :rtable ({RTE :targetList ({TARGETENTRY :resno 1 :resorigtbl 5 :resorigcol 5})})})";
        assert_eq!(origins(tree), [Origin { column: 1, relation: 16400, origin: 2 }]);
    }

    #[test]
    fn anything_can_be_read() {
        for text in ["", "(", "{{{{:resno", "\\", "({Q :targetList ({T :resno \\"] {
            assert_eq!(origins(text), []);
        }
    }

    #[test]
    fn chains_of_views_end_at_tables() {
        let views = HashMap::from([
            (1, vec![Origin { column: 1, relation: 2, origin: 3 }]),
            (2, vec![Origin { column: 3, relation: 9, origin: 7 }]),
        ]);
        let shown = follow(&views, [1].into_iter());
        assert_eq!(shown[&1], BTreeMap::from([((2, 3), BTreeSet::from([1])), ((9, 7), BTreeSet::from([1]))]));
    }
}
