//! Which embed a path means, and in which order embeds are listed.
//!
//! Every embed that a filter, an order, a window or a logic tree leads to moves in front of its siblings: PostgREST's
//! answers list embeds in that order, and a name that two embeds share means the one in front. To move them about for each
//! of thousands of filters would take as long as all of them together, so each only gets a rank, and is moved once.

use std::collections::{BTreeSet, HashMap};

use crate::error::Error;
use crate::plan::tree::ReadNode;

/// The ranks of a node's embeds, and of theirs. Empty until a path leads through the node.
#[derive(Debug, Default)]
pub(super) struct Places<'a> {
    /// The embeds that a word can mean, by name or by alias, the front one first.
    by_word: HashMap<&'a str, BTreeSet<(isize, usize)>>,
    /// Those moved forward are negative, the last moved the most.
    ranks: Vec<isize>,
    front: isize,
    below: Vec<Places<'a>>,
}

impl<'a> Places<'a> {
    fn fill(&mut self, node: &ReadNode<'a>) {
        for (index, child) in node.children.iter().enumerate() {
            let rank = self.ranks.len() as isize;
            self.ranks.push(rank);
            for word in words(child) {
                self.by_word.entry(word).or_default().insert((rank, index));
            }
        }
        self.below.resize_with(node.children.len(), Places::default);
    }

    /// The embed that a word means, which moves to the front.
    fn bring_forward(&mut self, node: &ReadNode<'a>, word: &str) -> Option<usize> {
        if self.ranks.is_empty() {
            self.fill(node);
        }
        let &(old, index) = self.by_word.get(word)?.first()?;
        self.front -= 1;
        for word in words(node.children.get(index)?) {
            if let Some(meant) = self.by_word.get_mut(word) {
                meant.remove(&(old, index));
                meant.insert((self.front, index));
            }
        }
        *self.ranks.get_mut(index)? = self.front;
        Some(index)
    }

    /// Puts embeds in their order, and conditions, which were collected from the last to the first, into theirs.
    pub(super) fn arrange(self, node: &mut ReadNode<'a>) {
        node.conditions.reverse();
        if self.ranks.is_empty() {
            return;
        }
        let mut children: Vec<(isize, ReadNode<'a>)> =
            self.ranks.into_iter().zip(std::mem::take(&mut node.children)).collect();
        for ((_, child), places) in children.iter_mut().zip(self.below) {
            places.arrange(child);
        }
        children.sort_by_key(|(rank, _)| *rank);
        node.children = children.into_iter().map(|(_, child)| child).collect();
    }
}

/// The words that mean an embed.
fn words<'a>(child: &ReadNode<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let name = child.name;
    std::iter::once(name).chain(child.alias.filter(move |alias| *alias != name))
}

/// Changes the node that a path leads to.
pub(super) fn update<'a>(
    node: &mut ReadNode<'a>,
    places: &mut Places<'a>,
    path: &'a [String],
    change: impl FnOnce(&mut ReadNode<'a>),
) -> Result<(), Error> {
    let Some((first, rest)) = path.split_first() else {
        change(node);
        return Ok(());
    };
    let index = places.bring_forward(node, first).ok_or_else(|| Error::NotEmbedded(first.clone()))?;
    match (node.children.get_mut(index), places.below.get_mut(index)) {
        (Some(child), Some(places)) => update(child, places, rest, change),
        _ => Ok(()),
    }
}

/// The first of a node's embeds that has a name, whichever name that is.
pub(crate) struct Named<'n, 'a> {
    children: &'n [ReadNode<'a>],
    name: for<'x> fn(&'x ReadNode<'a>) -> &'x str,
    /// Only of many: a few are looked through faster.
    index: Option<HashMap<&'n str, usize>>,
}

impl<'n, 'a> Named<'n, 'a> {
    const FEW: usize = 8;

    pub(crate) fn new(children: &'n [ReadNode<'a>], name: for<'x> fn(&'x ReadNode<'a>) -> &'x str) -> Self {
        let index = (children.len() > Self::FEW).then(|| {
            // From the last to the first, so that the first stays.
            children.iter().enumerate().rev().map(|(at, child)| (name(child), at)).collect()
        });
        Self { children, name, index }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'n ReadNode<'a>> {
        match &self.index {
            Some(index) => self.children.get(*index.get(name)?),
            None => self.children.iter().find(|child| (self.name)(child) == name),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PostgREST does it: the first that has the word moves to the front of the list.
    fn rotated(children: &mut Vec<(usize, &str, Option<&str>)>, word: &str) -> Option<usize> {
        let at = children.iter().position(|(_, name, alias)| *name == word || *alias == Some(word))?;
        children[..=at].rotate_right(1);
        children.first().map(|(index, ..)| *index)
    }

    proptest! {
        #[test]
        fn ranks_lead_where_moving_would(
            children in proptest::collection::vec((0..4usize, proptest::option::of(0..6usize)), 0..12),
            path in proptest::collection::vec(0..6usize, 0..30),
        ) {
            const WORDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let mut node = ReadNode::new("api", "root", 0);
            let mut model = Vec::new();
            for (index, (name, alias)) in children.iter().enumerate() {
                let mut child = ReadNode::new("api", WORDS[*name], 1);
                child.alias = alias.map(|alias| WORDS[alias]);
                // Tells them apart.
                child.depth = index;
                model.push((index, child.name, child.alias));
                node.children.push(child);
            }
            let mut places = Places::default();
            for word in path {
                let found = places.bring_forward(&node, WORDS[word]);
                prop_assert_eq!(found, rotated(&mut model, WORDS[word]));
            }
            places.arrange(&mut node);
            let order: Vec<usize> = node.children.iter().map(|child| child.depth).collect();
            prop_assert_eq!(order, model.iter().map(|(index, ..)| *index).collect::<Vec<_>>());
        }
    }
}
