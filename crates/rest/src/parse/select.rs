//! `select=`: columns, casts, aggregates, embeds and spreads.

use super::ast::{Aggregate, Field, Join, SelectEmbed, SelectField, SelectItem};
use super::grammar::{blanks, field, identifier, lexeme, name};
use super::scan::{Failed, Scan, Scanned};

/// The whole value of `select`. What follows the last item that parses is ignored, as PostgREST does.
pub(super) fn items(scan: &mut Scan<'_>) -> Scanned<Vec<SelectItem>> {
    let start = scan.position();
    match scan.separated(item, |s| lexeme(s, |s| s.character(',', "\",\""))) {
        Err(Failed) if scan.position() == start => Ok(Vec::new()),
        result => result,
    }
}

fn item(scan: &mut Scan<'_>) -> Scanned<SelectItem> {
    if let Some(name) = scan.swift_word(|next| matches!(next, None | Some(b',' | b')'))) {
        let field = Field { name: name.to_owned(), path: Vec::new() };
        return Ok(SelectItem::Field(SelectField { field, ..SelectField::default() }));
    }
    if let Ok(mut embed) = scan.attempt(spread_head) {
        embed.select = children(scan)?;
        return Ok(SelectItem::Embed(embed));
    }
    if let Ok(mut embed) = scan.attempt(embed_head) {
        embed.select = children(scan)?;
        return Ok(SelectItem::Embed(embed));
    }
    select_field(scan).map(SelectItem::Field)
}

fn children(scan: &mut Scan<'_>) -> Scanned<Vec<SelectItem>> {
    scan.character('(', "\"(\"")?;
    let select = scan.nested(items)?;
    scan.character(')', "\")\"")?;
    Ok(select)
}

fn spread_head(scan: &mut Scan<'_>) -> Scanned<SelectEmbed> {
    blanks(scan);
    scan.word("...", "\"...\"")?;
    let relation = name(scan)?;
    head(scan, relation, None, true)
}

fn embed_head(scan: &mut Scan<'_>) -> Scanned<SelectEmbed> {
    blanks(scan);
    let alias = alias(scan)?;
    let relation = name(scan)?;
    if relation == "count" {
        // `count()` is a function.
        return scan.refuse();
    }
    head(scan, relation, alias, false)
}

/// What follows the name: hint and join type, then an opening parenthesis, which is left for [`children`].
fn head(scan: &mut Scan<'_>, relation: String, alias: Option<String>, spread: bool) -> Scanned<SelectEmbed> {
    let mut embed = SelectEmbed { relation, alias, hint: None, join: None, spread, select: Vec::new() };
    for _ in 0..2 {
        match scan.optional(parameter)? {
            Some(Parameter::Join(join)) => embed.join = embed.join.or(Some(join)),
            Some(Parameter::Hint(hint)) => embed.hint = embed.hint.or(Some(hint)),
            None => {}
        }
    }
    scan.attempt(|s| s.look_ahead(|s| s.word("(", "\"(\"")))?;
    blanks(scan);
    Ok(embed)
}

enum Parameter {
    Join(Join),
    Hint(String),
}

fn parameter(scan: &mut Scan<'_>) -> Scanned<Parameter> {
    scan.character('!', "\"!\"")?;
    if scan.attempt(|s| s.word("left", "\"left\"")).is_ok() {
        return Ok(Parameter::Join(Join::Left));
    }
    if scan.attempt(|s| s.word("inner", "\"inner\"")).is_ok() {
        return Ok(Parameter::Join(Join::Inner));
    }
    scan.attempt(name).map(Parameter::Hint)
}

fn alias(scan: &mut Scan<'_>) -> Scanned<Option<String>> {
    let found = scan.attempt(|s| {
        let alias = name(s)?;
        s.character(':', "\":\"")?;
        s.not_followed_by(Some("\":\""), |c| c == ':')?;
        Ok(alias)
    });
    Ok(found.ok())
}

fn select_field(scan: &mut Scan<'_>) -> Scanned<SelectField> {
    blanks(scan);
    let selected = if let Ok(star) = scan.attempt(star) {
        star
    } else if let Ok(count) = scan.attempt(count) {
        count
    } else {
        column(scan)?
    };
    blanks(scan);
    Ok(selected)
}

fn star(scan: &mut Scan<'_>) -> Scanned<SelectField> {
    scan.word("*", "\"*\"")?;
    item_end(scan)?;
    Ok(every_column())
}

/// `*`
pub(super) fn every_column() -> SelectField {
    SelectField { field: Field { name: "*".to_owned(), path: Vec::new() }, ..SelectField::default() }
}

fn count(scan: &mut Scan<'_>) -> Scanned<SelectField> {
    let alias = alias(scan)?;
    scan.word("count()", "\"count()\"")?;
    let aggregate_cast = cast(scan)?;
    item_end(scan)?;
    Ok(SelectField { aggregate: Some(Aggregate::Count), aggregate_cast, alias, ..every_column() })
}

fn column(scan: &mut Scan<'_>) -> Scanned<SelectField> {
    let alias = alias(scan)?;
    let field = field(scan)?;
    let type_name = cast(scan)?;
    let aggregate = scan.attempt(aggregate).ok();
    let aggregate_cast = cast(scan)?;
    item_end(scan)?;
    Ok(SelectField { field, aggregate, aggregate_cast, cast: type_name, alias })
}

fn cast(scan: &mut Scan<'_>) -> Scanned<Option<String>> {
    scan.optional(|s| {
        s.word("::", "\"::\"")?;
        identifier(s)
    })
}

fn aggregate(scan: &mut Scan<'_>) -> Scanned<Aggregate> {
    scan.character('.', "\".\"")?;
    let start = scan.position();
    for (word, shown, function, whole) in [
        ("sum", "\"sum\"", Aggregate::Sum, false),
        ("avg", "\"avg\"", Aggregate::Avg, false),
        ("count", "\"count\"", Aggregate::Count, false),
        ("max", "\"max\"", Aggregate::Max, true),
        ("min", "\"min\"", Aggregate::Min, true),
    ] {
        let found = if whole { scan.attempt(|s| s.word(word, shown)) } else { scan.word(word, shown) };
        match found {
            Ok(()) => {
                scan.word("()", "\"()\"")?;
                return Ok(function);
            }
            Err(Failed) if scan.position() == start => {}
            Err(Failed) => return Err(Failed),
        }
    }
    Err(Failed)
}

fn item_end(scan: &mut Scan<'_>) -> Scanned<()> {
    for (end, shown) in [(")", "\")\""), (",", "\",\"")] {
        if scan.attempt(|s| s.look_ahead(|s| s.word(end, shown))).is_ok() {
            return Ok(());
        }
    }
    scan.attempt(Scan::end)
}
