//! Where subjects and bodies come from, and how they stay fresh.
//!
//! Bodies at URLs are fetched as GoTrue fetches them: 200 only, up to a size, kept for a time, looked
//! for again no more often than an interval allows; what cannot be fetched is replaced by the copy
//! before it or by the built-in text. Files are read again when they change.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use crate::{Kind, Template, TemplateError};

/// Where a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the configuration itself.
    Text(String),
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url(String),
}

/// How templates are found and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplatesConfig {
    /// Subjects, where they are not the built-in ones.
    pub subjects: HashMap<Kind, String>,
    /// Bodies, where they are not the built-in ones.
    pub bodies: HashMap<Kind, Source>,
    /// More bytes of a body are not read.
    pub max_size: usize,
    /// How long a fetched body is used before it is fetched again.
    pub max_age: Duration,
    /// Pause after a failure.
    pub retry_interval: Duration,
    /// Longest fetch.
    pub timeout: Duration,
}

impl Default for TemplatesConfig {
    /// GoTrue's defaults.
    fn default() -> Self {
        Self {
            subjects: HashMap::new(),
            bodies: HashMap::new(),
            max_size: 1_000_000,
            max_age: Duration::from_secs(600),
            retry_interval: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Subject and body of every kind of mail.
#[derive(Debug)]
pub struct Templates {
    config: TemplatesConfig,
    client: reqwest::Client,
    kept: Mutex<HashMap<Kind, Kept>>,
}

/// A pair that was loaded.
#[derive(Clone, Debug)]
struct Kept {
    subject: Template,
    body: Template,
    created: Instant,
    checked: Instant,
    /// Of the file it came from.
    modified: Option<SystemTime>,
}

impl Templates {
    /// Templates that are fetched with `client`.
    #[must_use]
    pub fn new(config: TemplatesConfig, client: reqwest::Client) -> Self {
        Self { config, client, kept: Mutex::new(HashMap::new()) }
    }

    /// The subject and the body of a mail, both escaped as HTML is: GoTrue escapes subjects, too.
    pub async fn render(
        &self,
        kind: Kind,
        data: &serde_json::Value,
    ) -> Result<(String, String), TemplateError> {
        let pair = self.pair(kind).await;
        Ok((pair.subject.html(data)?, pair.body.html(data)?))
    }

    /// Fetches what is near its end, so that no mail waits for it. To be called now and then.
    pub async fn refresh(&self) {
        for kind in Kind::ALL {
            let fetched = matches!(self.config.bodies.get(&kind), Some(Source::Url(_)));
            let old = self.known(kind).is_none_or(|kept| {
                kept.created.elapsed() >= self.config.max_age.mul_f64(0.9)
                    && kept.checked.elapsed() >= self.config.retry_interval
            });
            if fetched && old {
                self.load(kind, self.known(kind)).await;
            }
        }
    }

    async fn pair(&self, kind: Kind) -> Kept {
        let Some(kept) = self.known(kind) else { return self.load(kind, None).await };
        let current = match self.config.bodies.get(&kind) {
            None | Some(Source::Text(_)) => true,
            Some(Source::File(path)) => {
                let modified = tokio::fs::metadata(path).await.and_then(|metadata| metadata.modified()).ok();
                modified.is_some() && modified == kept.modified
            }
            Some(Source::Url(_)) => {
                kept.created.elapsed() < self.config.max_age
                    || kept.checked.elapsed() < self.config.retry_interval
            }
        };
        if current { kept } else { self.load(kind, Some(kept)).await }
    }

    fn known(&self, kind: Kind) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&kind).cloned()
    }

    async fn load(&self, kind: Kind, before: Option<Kept>) -> Kept {
        let now = Instant::now();
        let pair = match self.fresh(kind).await {
            Ok((subject, body, modified)) => Kept { subject, body, created: now, checked: now, modified },
            Err(reason) => {
                tracing::error!(kind = kind.as_str(), %reason, "a mail template cannot be used");
                match before {
                    Some(kept) => Kept { checked: now, ..kept },
                    // Old from the start, so that the next mail after the pause looks for it again.
                    None => Kept {
                        created: now.checked_sub(self.config.max_age).unwrap_or(now),
                        ..built_in(kind, now)
                    },
                }
            }
        };
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(kind, pair.clone());
        pair
    }

    async fn fresh(&self, kind: Kind) -> Result<(Template, Template, Option<SystemTime>), String> {
        let subject = self.config.subjects.get(&kind).map_or(kind.default_subject(), String::as_str);
        let subject = Template::parse(subject).map_err(|error| format!("subject: {error}"))?;
        let mut modified = None;
        let body = match self.config.bodies.get(&kind) {
            None => kind.default_body().to_owned(),
            Some(Source::Text(text)) => text.clone(),
            Some(Source::Url(url)) => self.fetch(url).await?,
            Some(Source::File(path)) => {
                let failed = |error: std::io::Error| format!("{}: {error}", path.display());
                let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
                if metadata.len() > self.config.max_size as u64 {
                    return Err(format!("{} is larger than {} bytes", path.display(), self.config.max_size));
                }
                modified = metadata.modified().ok();
                tokio::fs::read_to_string(path).await.map_err(failed)?
            }
        };
        let body = Template::parse(&body).map_err(|error| error.to_string())?;
        Ok((subject, body, modified))
    }

    async fn fetch(&self, url: &str) -> Result<String, String> {
        let failed = |error: reqwest::Error| format!("{url}: {}", error.without_url());
        let mut answer = self.client.get(url).timeout(self.config.timeout).send().await.map_err(failed)?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("{url}: status {}", answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() >= self.config.max_size {
                body.truncate(self.config.max_size);
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

fn built_in(kind: Kind, now: Instant) -> Kept {
    let parse = |text| Template::parse(text).expect("invariant: a test parses every built-in template");
    Kept {
        subject: parse(kind.default_subject()),
        body: parse(kind.default_body()),
        created: now,
        checked: now,
        modified: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn templates(config: TemplatesConfig) -> Templates {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Templates::new(config, reqwest::Client::new())
    }

    #[tokio::test]
    async fn a_file_is_read_again_when_it_changes_and_kept_when_it_breaks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("invite.html");
        let config = TemplatesConfig {
            subjects: HashMap::from([(Kind::Invite, "For {{ .Email }}".to_owned())]),
            bodies: HashMap::from([(Kind::Invite, Source::File(path.clone()))]),
            ..TemplatesConfig::default()
        };
        let templates = templates(config);
        let data = json!({"Email": "a&b"});
        // Not there yet: the built-in text.
        let (subject, _) = templates.render(Kind::Invite, &data).await.unwrap();
        assert_eq!(subject, "You have been invited");
        for (at, text) in ["one", "two {{ .Email }}", "broken {{"].into_iter().enumerate() {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + at as u64);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            let shown = templates.render(Kind::Invite, &data).await.unwrap();
            let expected = ["one", "two a&amp;b", "two a&amp;b"][at];
            assert_eq!(shown, ("For a&amp;b".to_owned(), expected.to_owned()));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_fetched_is_replaced_by_the_built_in_text() {
        let config = TemplatesConfig {
            bodies: HashMap::from([(Kind::Recovery, Source::Url("http://127.0.0.1:1/x".into()))]),
            ..TemplatesConfig::default()
        };
        let (subject, body) =
            templates(config).render(Kind::Recovery, &json!({"Token": "42"})).await.unwrap();
        assert_eq!(subject, "Reset Your Password");
        assert!(body.contains("enter this code: 42"), "{body}");
    }
}
