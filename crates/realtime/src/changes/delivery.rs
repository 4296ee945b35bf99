//! A batch of changes on its way to those who may see them.
//!
//! What arrived while the former batch was under way is one batch. Filters come first, because they cost nothing; then
//! each distinct set of claims is asked which of the remaining rows it sees; then the rows are rendered, once for each set
//! of columns, and handed out in the order of their commits. Visibility is that of the moment, not of the change: a row
//! that is gone meanwhile is seen by nobody, as in the original.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use database::{Error, Pool};

use super::index::{Candidate, Claims, Listener, TableIndex, filtered_field};
use super::payload::{self, Layout, Refusal, ServerJson};
use super::predicate::Verdict;
use super::registry::Registry;
use super::row::{Action, Field, RowChange};
use super::server_side::{self, Answers};
use super::settled;
use super::sink::Change;
use super::table::Table;
use super::visibility::{self, Keys, Question, Seen};

/// Reads of the catalogue are repeated after this. The log tells of every change of a table, but not of memberships of
/// roles, on which privileges may rest.
const CATALOGUE_LIFETIME: Duration = Duration::from_secs(10);

/// Evaluates batches.
pub(crate) struct Delivery {
    /// As the service itself: for the catalogue.
    catalogue: Pool,
    /// Whatever runs code of the database's users: policies, comparisons, conversions.
    evaluators: Pool,
    /// How many connections one batch may use.
    connections: usize,
    tables: HashMap<u32, Arc<Table>>,
    /// Tables that the log says have changed.
    stale: HashSet<u32>,
}

/// The changes of one table in a batch.
struct Work {
    table: Arc<Table>,
    index: Arc<TableIndex>,
    /// By position in the batch.
    rows: Vec<usize>,
    /// For each of `rows`, whom it may concern.
    candidates: Vec<Vec<Candidate>>,
    /// Those who are told of the change but not shown the row.
    refused: Vec<Vec<(u32, Refusal)>>,
    layouts: Vec<Layout>,
    /// For each of `rows` the layout.
    layout_of: Vec<usize>,
    /// For each group of claims and key, whether the row is seen. Empty where nobody had to be asked.
    seen: HashMap<u32, (HashMap<u32, usize>, Seen)>,
    /// For each of `rows` the number of its key.
    key_of: Vec<Option<u32>>,
}

/// Keys as they are asked about, and which they are, by the numbers of the rows.
type Written = HashMap<Vec<u32>, (Arc<Keys>, Arc<[u32]>)>;

impl Delivery {
    pub(crate) fn new(catalogue: Pool, evaluators: Pool, connections: usize) -> Self {
        Delivery { catalogue, evaluators, connections, tables: HashMap::new(), stale: HashSet::new() }
    }

    pub(crate) fn catalogue(&self) -> &Pool {
        &self.catalogue
    }

    pub(crate) fn evaluators(&self) -> &Pool {
        &self.evaluators
    }

    /// A table has changed.
    pub(crate) fn forget(&mut self, table: u32) {
        self.stale.insert(table);
    }

    /// A table as the catalogue has it, with the rights of these roles.
    pub(crate) async fn table(
        &mut self,
        oid: u32,
        roles: &[Box<str>],
        log_types: &[u32],
    ) -> Result<Option<Arc<Table>>, Error> {
        let mut wanted = roles.to_vec();
        if let Some(known) = self.tables.get(&oid) {
            let fresh = !self.stale.contains(&oid) && known.loaded.elapsed() < CATALOGUE_LIFETIME;
            let knows_roles = roles.iter().all(|role| known.readable.contains_key(role));
            if fresh && knows_roles && log_types.iter().all(|oid| known.types.contains_key(oid)) {
                return Ok(Some(known.clone()));
            }
            wanted.extend(known.readable.keys().filter(|role| !roles.contains(role)).cloned());
        }
        self.stale.remove(&oid);
        let mut connection = self.catalogue.acquire().await?;
        let Some(table) = Table::load(&mut connection, oid, &wanted, log_types).await? else {
            self.tables.remove(&oid);
            return Ok(None);
        };
        let table = Arc::new(table);
        self.tables.insert(oid, table.clone());
        Ok(Some(table))
    }

    /// Delivers a batch. The error is a database that does not answer: the batch is lost then.
    pub(crate) async fn deliver(&mut self, registry: &Registry, batch: &[RowChange]) -> Result<usize, Error> {
        let mut by_table: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, change) in batch.iter().enumerate() {
            by_table.entry(change.relation.oid).or_default().push(at);
        }
        let mut works: HashMap<u32, Work> = HashMap::new();
        for (oid, rows) in by_table {
            let Some(index) = registry.index(oid) else { continue };
            let mut log_types: Vec<u32> = rows
                .iter()
                .flat_map(|at| batch[*at].relation.columns.iter().map(|column| column.type_oid))
                .collect();
            log_types.sort_unstable();
            log_types.dedup();
            if let Some(table) = self.table(oid, &index.roles(), &log_types).await? {
                works.insert(oid, Work::new(table, index, rows, batch));
            }
        }
        if works.is_empty() {
            return Ok(0);
        }
        self.ask_about_filters(&mut works, batch).await?;
        self.ask_about_rows(&mut works, batch).await?;
        self.hand_out(&works, batch).await
    }

    /// Lets the server decide on filters that text cannot.
    async fn ask_about_filters(
        &self,
        works: &mut HashMap<u32, Work>,
        batch: &[RowChange],
    ) -> Result<(), Error> {
        let mut questions: HashMap<_, Vec<Box<str>>> = HashMap::new();
        for work in works.values() {
            work.each_open_filter(batch, |predicate, text| {
                questions.entry(predicate.question.clone()).or_default().push(text.into());
            });
        }
        if questions.is_empty() {
            return Ok(());
        }
        let mut connection = self.evaluators.acquire().await?;
        let answers = server_side::judge(&mut connection, questions).await?;
        for work in works.values_mut() {
            work.close_filters(batch, &answers);
        }
        Ok(())
    }

    /// Asks each set of claims which of the rows that it would get it sees.
    async fn ask_about_rows(&self, works: &mut HashMap<u32, Work>, batch: &[RowChange]) -> Result<(), Error> {
        let mut questions: Vec<Question> = Vec::new();
        let mut about: Vec<(u32, u32, Arc<[u32]>)> = Vec::new();
        for (oid, work) in works.iter_mut() {
            if !work.table.secured {
                continue;
            }
            let keys = work.number_keys(batch);
            // Most ask about the same rows: their keys are written once.
            let mut written: Written = HashMap::new();
            for (group, wanted) in work.wanted_keys(batch) {
                let (keys, wanted) = written
                    .entry(wanted)
                    .or_insert_with_key(|wanted| {
                        let texts: Vec<Vec<&str>> =
                            wanted.iter().map(|number| keys[*number as usize].clone()).collect();
                        (Arc::new(Keys::new(&work.table, &texts)), wanted.as_slice().into())
                    })
                    .clone();
                questions.push(Question { claims: work.index.groups[group as usize].clone(), keys });
                about.push((*oid, group, wanted));
            }
        }
        if questions.is_empty() {
            return Ok(());
        }
        let mut transactions: Vec<u32> = works
            .values()
            .filter(|work| work.table.secured)
            .flat_map(|work| work.rows.iter().map(|at| batch[*at].transaction))
            .collect();
        transactions.sort_unstable();
        transactions.dedup();
        settled::settle(&self.catalogue, &transactions).await?;
        let answers = visibility::ask(&self.evaluators, self.connections, &questions).await?;
        for ((oid, group, wanted), answer) in about.into_iter().zip(answers) {
            let Some(work) = works.get_mut(&oid) else { continue };
            match answer {
                Ok(seen) => {
                    let places = wanted.iter().enumerate().map(|(place, key)| (*key, place)).collect();
                    work.seen.insert(group, (places, seen));
                }
                Err(error) => {
                    let role = &work.index.groups[group as usize].role;
                    let table = format!("{}.{}", work.table.schema, work.table.name);
                    tracing::warn!(%error, %role, %table, "policies cannot be evaluated: the change is withheld");
                }
            }
        }
        Ok(())
    }

    async fn hand_out(&self, works: &HashMap<u32, Work>, batch: &[RowChange]) -> Result<usize, Error> {
        let mut delivered = 0;
        let mut turns: Vec<(usize, &Work, usize)> = works
            .values()
            .flat_map(|work| work.rows.iter().enumerate().map(move |(turn, at)| (*at, work, turn)))
            .collect();
        turns.sort_unstable_by_key(|(at, _, _)| *at);
        for (at, work, turn) in turns {
            let change = &batch[at];
            let recipients = work.recipients(change.action, turn);
            if recipients.is_empty() && work.refused[turn].is_empty() {
                continue;
            }
            let server = self.server_json(&work.table, change).await?;
            delivered += work.hand_out(change, turn, &recipients, &server);
        }
        Ok(delivered)
    }

    /// JSON of the values that only the server can write.
    async fn server_json(&self, table: &Table, change: &RowChange) -> Result<ServerJson, Error> {
        let mut json = ServerJson::default();
        for (at, column) in change.relation.columns.iter().enumerate() {
            let Some(info) = table.type_of(column.type_oid).filter(|info| info.kind.needs_server()) else {
                continue;
            };
            let new = change.shown_field(at).and_then(Field::text);
            let old = change.old_field(at, column.in_identity).and_then(Field::text);
            let values: Vec<&str> = new.into_iter().chain(old).collect();
            if values.is_empty() {
                continue;
            }
            let mut connection = self.evaluators.acquire().await?;
            let mut written = server_side::to_json(&mut connection, info, &values).await?.into_iter();
            if new.is_some() {
                json.new.extend(written.next().flatten().map(|text| (at, text)));
            }
            if old.is_some() {
                json.old.extend(written.next().flatten().map(|text| (at, text)));
            }
        }
        Ok(json)
    }
}

impl Work {
    fn new(table: Arc<Table>, index: Arc<TableIndex>, rows: Vec<usize>, batch: &[RowChange]) -> Self {
        let mut work = Work {
            candidates: Vec::with_capacity(rows.len()),
            refused: Vec::with_capacity(rows.len()),
            layouts: Vec::new(),
            layout_of: Vec::with_capacity(rows.len()),
            seen: HashMap::new(),
            key_of: vec![None; rows.len()],
            table,
            index,
            rows,
        };
        let mut former: Option<&Arc<_>> = None;
        for at in &work.rows {
            let change = &batch[*at];
            if !former.is_some_and(|relation| Arc::ptr_eq(relation, &change.relation)) {
                work.layouts.push(Layout::new(&work.table, &change.relation));
                former = Some(&change.relation);
            }
            work.layout_of.push(work.layouts.len() - 1);
        }
        for (turn, at) in work.rows.iter().enumerate() {
            let change = &batch[*at];
            let refusals = work.refusals(turn, change.action);
            let refusal = |number: u32| {
                let role = &work.index.listeners[number as usize].claims.role;
                refusals.iter().find(|(refused, _)| refused == role).map(|(_, refusal)| *refusal)
            };
            let mut candidates = work.index.candidates(change);
            let mut refused = Vec::new();
            if !refusals.is_empty() {
                candidates.retain(|candidate| refusal(candidate.listener).is_none());
                // Whoever is refused the row is told so whatever the filters, which cannot be judged for them.
                let told = work.index.all(change.action);
                refused.extend(told.filter_map(|number| Some((number, refusal(number)?))));
            }
            work.candidates.push(candidates);
            work.refused.push(refused);
        }
        work
    }

    /// The roles that are not shown rows of this form.
    fn refusals(&self, turn: usize, action: Action) -> Vec<(Box<str>, Refusal)> {
        let layout = &self.layouts[self.layout_of[turn]];
        let roles = self.table.readable.iter();
        roles
            .filter_map(|(role, readable)| {
                Some((role.clone(), payload::refusal(&self.table, layout, readable, action)?))
            })
            .collect()
    }

    fn listener(&self, number: u32) -> &Arc<Listener> {
        &self.index.listeners[number as usize]
    }

    fn each_open_filter<'a>(
        &'a self,
        batch: &'a [RowChange],
        mut ask: impl FnMut(&'a super::predicate::Predicate, &'a str),
    ) {
        for (candidates, at) in self.candidates.iter().zip(&self.rows) {
            for candidate in candidates.iter().filter(|candidate| candidate.ask) {
                for predicate in &self.index.listeners[candidate.listener as usize].predicates {
                    let field = filtered_field(&batch[*at], &predicate.column);
                    if predicate.judge(field) == Verdict::Ask
                        && let Some(text) = field.and_then(Field::text)
                    {
                        ask(predicate, text);
                    }
                }
            }
        }
    }

    fn close_filters(&mut self, batch: &[RowChange], answers: &Answers) {
        let index = self.index.clone();
        for (candidates, at) in self.candidates.iter_mut().zip(&self.rows) {
            candidates.retain(|candidate| {
                let predicates = &index.listeners[candidate.listener as usize].predicates;
                !candidate.ask
                    || predicates.iter().all(|predicate| {
                        let field = filtered_field(&batch[*at], &predicate.column);
                        match predicate.judge(field) {
                            Verdict::Pass => true,
                            Verdict::Fail => false,
                            Verdict::Ask => {
                                let text = field.and_then(Field::text).unwrap_or_default();
                                let asked = (predicate.question.clone(), Box::from(text));
                                let answer = answers.get(&asked).copied().flatten();
                                answer.is_some_and(|holds| holds != predicate.negate)
                            }
                        }
                    })
            });
        }
    }

    /// Gives each distinct key of the rows whose visibility is in question a number; their texts.
    fn number_keys<'a>(&mut self, batch: &'a [RowChange]) -> Vec<Vec<&'a str>> {
        let columns: Vec<usize> =
            (0..self.table.columns.len()).filter(|at| self.table.columns[*at].in_key).collect();
        let mut keys = Vec::new();
        let mut numbers: HashMap<Vec<&'a str>, u32> = HashMap::new();
        for (turn, at) in self.rows.iter().enumerate() {
            let change = &batch[*at];
            if change.action == Action::Delete {
                continue;
            }
            let layout = &self.layouts[self.layout_of[turn]];
            let field = |column: &usize| change.new_field(layout.in_log(*column)?)?.text();
            let key: Option<Vec<&str>> = columns.iter().map(field).collect();
            self.key_of[turn] = key.map(|key| {
                *numbers.entry(key).or_insert_with_key(|key| {
                    keys.push(key.clone());
                    keys.len() as u32 - 1
                })
            });
        }
        keys
    }

    /// For each group of claims the numbers of the keys it has to be asked about, ascending.
    fn wanted_keys(&self, batch: &[RowChange]) -> BTreeMap<u32, Vec<u32>> {
        let mut wanted: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (turn, candidates) in self.candidates.iter().enumerate() {
            let Some(key) = self.key_of[turn] else { continue };
            if batch[self.rows[turn]].action == Action::Delete {
                continue;
            }
            for candidate in candidates {
                let group = self.index.group_of[candidate.listener as usize];
                let keys = wanted.entry(group).or_default();
                if keys.last() != Some(&key) {
                    keys.push(key);
                }
            }
        }
        for keys in wanted.values_mut() {
            keys.sort_unstable();
            keys.dedup();
        }
        wanted
    }

    /// Those of the candidates who see the row.
    fn recipients(&self, action: Action, turn: usize) -> Vec<u32> {
        let candidates = self.candidates[turn].iter().map(|candidate| candidate.listener);
        if action == Action::Delete || !self.table.secured {
            return candidates.collect();
        }
        let Some(key) = self.key_of[turn] else { return Vec::new() };
        candidates
            .filter(|listener| {
                let group = self.index.group_of[*listener as usize];
                let answer = self.seen.get(&group);
                answer.is_some_and(|(places, seen)| places.get(&key).is_some_and(|place| seen[*place]))
            })
            .collect()
    }

    /// Sends a change to its recipients: one message a channel and form, with the ids of all its bindings that match.
    fn hand_out(&self, change: &RowChange, turn: usize, recipients: &[u32], server: &ServerJson) -> usize {
        let layout = &self.layouts[self.layout_of[turn]];
        let oversized = payload::is_oversized(change);
        let mut forms: Vec<(Box<[bool]>, Change)> = Vec::new();
        let mut refusals: Vec<(Refusal, Change)> = Vec::new();
        // Positions in `forms`, or behind them in `refusals`, by recipient.
        let mut parcels: Vec<(u32, bool, usize)> = Vec::with_capacity(recipients.len());
        let mut claims: Option<(&Arc<Claims>, Option<usize>)> = None;
        for number in recipients {
            let listener = self.listener(*number);
            let form = match (&claims, &listener.select) {
                (Some((same, form)), None) if Arc::ptr_eq(same, &listener.claims) => *form,
                _ => {
                    let form = self.table.readable.get(&listener.claims.role).map(|readable| {
                        let shown = payload::shown(&self.table, readable, listener.select.as_deref());
                        forms.iter().position(|(known, _)| *known == shown).unwrap_or_else(|| {
                            let data =
                                payload::render(&self.table, layout, change, &shown, oversized, server);
                            forms.push((shown, Change::new(change.action.name(), data)));
                            forms.len() - 1
                        })
                    });
                    if listener.select.is_none() {
                        claims = Some((&listener.claims, form));
                    }
                    form
                }
            };
            // A role that is gone reads nothing.
            parcels.extend(form.map(|form| (*number, false, form)));
        }
        for (number, refusal) in &self.refused[turn] {
            let form = refusals.iter().position(|(known, _)| known == refusal).unwrap_or_else(|| {
                let data = payload::render_refusal(&self.table, change.action, *refusal);
                refusals.push((*refusal, Change::new(change.action.name(), data)));
                refusals.len() - 1
            });
            parcels.push((*number, true, form));
        }
        // Listeners are numbered by channel, so that a channel's parcels lie together.
        parcels.sort_unstable();
        let mut delivered = 0;
        let mut ids: Vec<u64> = Vec::new();
        for channel in
            parcels.chunk_by(|a, b| self.listener(a.0).subscription == self.listener(b.0).subscription)
        {
            let mut done: Vec<(bool, usize)> = Vec::new();
            for (number, refused, form) in channel {
                if done.contains(&(*refused, *form)) {
                    continue;
                }
                done.push((*refused, *form));
                ids.clear();
                // The last binding first, as the original lists them.
                let same = channel.iter().rev().filter(|(_, other, at)| other == refused && at == form);
                ids.extend(same.map(|(number, _, _)| self.listener(*number).id));
                let message = if *refused { &refusals[*form].1 } else { &forms[*form].1 };
                self.listener(*number).sink.change(&ids, message);
                delivered += 1;
            }
        }
        delivered
    }
}
