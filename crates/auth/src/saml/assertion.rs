//! What a provider says of somebody.

use chrono::{DateTime, Utc};

use super::response::Expected;
use super::xml::Element;
use super::{Refused, format, ns, time};

/// The attribute that was made to tell people apart (SAML Subject Identifier Attributes, 1.0).
const SUBJECT_ID: &str = "urn:oasis:names:tc:SAML:attribute:subject-id";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
/// Attributes under which providers tell an address, in the order in which GoTrue looks for them.
const ADDRESSES: [&str; 5] = [
    "urn:oid:0.9.2342.19200300.100.1.3",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "http://schemas.xmlsoap.org/claims/EmailAddress",
    "mail",
    "email",
];

/// An assertion.
#[derive(Debug)]
pub(crate) struct Assertion {
    /// Its id: the provider never gives it to another.
    pub(crate) id: String,
    /// When the session that it begins has to end, at the latest.
    pub(crate) session_end: Option<DateTime<Utc>>,
    issued_at: DateTime<Utc>,
    issuer: String,
    name: Option<Name>,
    confirmations: Vec<Confirmation>,
    not_before: Option<DateTime<Utc>>,
    not_on_or_after: Option<DateTime<Utc>>,
    /// Each is the audiences of which we have to be one.
    audiences: Vec<Vec<String>>,
    attributes: Vec<Attribute>,
}

#[derive(Debug)]
struct Name {
    format: String,
    value: String,
}

#[derive(Debug)]
struct Confirmation {
    recipient: String,
    in_response_to: Option<String>,
    not_before: Option<DateTime<Utc>>,
    not_on_or_after: Option<DateTime<Utc>>,
}

#[derive(Debug)]
struct Attribute {
    name: String,
    friendly_name: String,
    values: Vec<String>,
}

impl Assertion {
    /// Reads an assertion; nothing is checked yet.
    pub(super) fn read(element: Element<'_>) -> Result<Self, Refused> {
        if !element.is(ns::ASSERTION, "Assertion") || element.attribute("Version") != Some("2.0") {
            return Err(Refused::Content("the assertion is none of SAML 2.0"));
        }
        let missing = |what| move || Refused::Content(what);
        let only = |name| element.only(ns::ASSERTION, name);
        let subject = only("Subject")?.ok_or_else(missing("the assertion has no subject"))?;
        let conditions = only("Conditions")?.ok_or_else(missing("the assertion has no conditions"))?;
        if conditions.all(ns::ASSERTION, "Condition").next().is_some() {
            return Err(Refused::Content("the assertion has a condition that nobody knows here"));
        }
        let name = match subject.only(ns::ASSERTION, "NameID")? {
            Some(name) => Some(Name {
                format: name.attribute("Format").unwrap_or_default().to_owned(),
                value: name.plain_text()?,
            }),
            None => None,
        };
        let audiences = conditions.all(ns::ASSERTION, "AudienceRestriction").map(|restriction| {
            let audiences = restriction.all(ns::ASSERTION, "Audience");
            audiences.map(|audience| Ok(audience.plain_text()?.trim().to_owned())).collect()
        });
        let mut session_end = None;
        for statement in element.all(ns::ASSERTION, "AuthnStatement") {
            session_end = session_end.or(instant(statement, "SessionNotOnOrAfter")?);
        }
        let attributes = element
            .all(ns::ASSERTION, "AttributeStatement")
            .flat_map(|statement| statement.all(ns::ASSERTION, "Attribute"))
            .map(|attribute| Attribute {
                name: attribute.attribute("Name").unwrap_or_default().to_owned(),
                friendly_name: attribute.attribute("FriendlyName").unwrap_or_default().to_owned(),
                values: attribute.all(ns::ASSERTION, "AttributeValue").map(Element::text).collect(),
            })
            .collect();
        Ok(Self {
            id: element
                .attribute("ID")
                .filter(|id| !id.is_empty())
                .ok_or_else(missing("the assertion has no id"))?
                .to_owned(),
            session_end,
            issued_at: instant(element, "IssueInstant")?
                .ok_or_else(missing("the assertion does not say when it was issued"))?,
            issuer: only("Issuer")?.ok_or_else(missing("the assertion has no issuer"))?.plain_text()?,
            name,
            confirmations: confirmations(subject)?,
            not_before: instant(conditions, "NotBefore")?,
            not_on_or_after: instant(conditions, "NotOnOrAfter")?,
            audiences: audiences.collect::<Result<_, Refused>>()?,
            attributes,
        })
    }

    /// Whether it was made for us, now, by this provider and, if we asked for it, because we asked.
    pub(super) fn check(&self, expected: &Expected<'_>) -> Result<(), Refused> {
        expected.check_age(self.issued_at)?;
        if self.issuer.trim() != expected.issuer {
            return Err(Refused::Content("the assertion has another issuer"));
        }
        if !expected.is_due(self.not_before, self.not_on_or_after) {
            return Err(Refused::Content("the assertion does not hold now"));
        }
        let us = &expected.service.entity_id;
        if !self.audiences.iter().all(|audiences| audiences.iter().any(|audience| audience == us)) {
            return Err(Refused::Content("the assertion is for another audience"));
        }
        let confirms = |confirmation: &Confirmation| {
            let is_answer =
                expected.request_id.is_none_or(|id| confirmation.in_response_to.as_deref() == Some(id));
            is_answer
                && confirmation.recipient == expected.service.acs_url
                && expected.is_due(confirmation.not_before, confirmation.not_on_or_after)
        };
        if !self.confirmations.iter().any(confirms) {
            return Err(Refused::Content("the subject is not confirmed for this place, request and time"));
        }
        Ok(())
    }

    /// All values of an attribute by its name or its friendly name, in any case.
    pub(super) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_lowercase();
        self.attributes
            .iter()
            .filter(move |attribute| {
                attribute.name.to_lowercase() == name || attribute.friendly_name.to_lowercase() == name
            })
            .flat_map(|attribute| &attribute.values)
            .map(String::as_str)
    }

    /// What tells this person from all others of the provider, today and tomorrow.
    pub(super) fn user_id(&self) -> Option<String> {
        let id = match (self.values(SUBJECT_ID).next(), &self.name) {
            (Some(id), _) => id.to_owned(),
            (None, Some(name)) if name.format == format::EMAIL_ADDRESS => name.value.trim().to_lowercase(),
            (None, Some(name)) if name.format != format::TRANSIENT => name.value.clone(),
            _ => return None,
        };
        Some(id).filter(|id| !id.is_empty())
    }

    /// An address, where providers usually tell it.
    pub(super) fn email(&self) -> Option<&str> {
        let mut told = ADDRESSES.iter().flat_map(|name| self.values(name)).filter(|value| !value.is_empty());
        let name = self.name.as_ref().filter(|name| name.format == format::EMAIL_ADDRESS);
        told.next().or(name.map(|name| name.value.as_str())).filter(|email| !email.is_empty())
    }
}

fn confirmations(subject: Element<'_>) -> Result<Vec<Confirmation>, Refused> {
    let mut confirmations = Vec::new();
    for confirmation in subject.all(ns::ASSERTION, "SubjectConfirmation") {
        if confirmation.attribute("Method") != Some(BEARER) {
            continue;
        }
        let Some(data) = confirmation.only(ns::ASSERTION, "SubjectConfirmationData")? else { continue };
        confirmations.push(Confirmation {
            recipient: data.attribute("Recipient").unwrap_or_default().to_owned(),
            in_response_to: data.attribute("InResponseTo").map(str::to_owned),
            not_before: instant(data, "NotBefore")?,
            not_on_or_after: instant(data, "NotOnOrAfter")?,
        });
    }
    Ok(confirmations)
}

pub(super) fn instant(element: Element<'_>, name: &str) -> Result<Option<DateTime<Utc>>, Refused> {
    match element.attribute(name) {
        None | Some("") => Ok(None),
        Some(text) => time::instant(text).map(Some).ok_or(Refused::Content("an instant is none")),
    }
}
