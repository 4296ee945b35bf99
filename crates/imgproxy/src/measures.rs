//! Figures for Prometheus, under the original's names.

use std::time::Instant;

use http::StatusCode;

use crate::Error;

/// Counts and times, if anybody looks at them.
#[derive(Debug)]
pub(crate) struct Measures(Option<Box<Names>>);

#[derive(Debug)]
struct Names {
    requests: String,
    errors: String,
    request_seconds: String,
    span_seconds: String,
    download_seconds: String,
    processing_seconds: String,
    requests_now: String,
    images_now: String,
}

/// What a request spends its time with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    Queue,
    Downloading,
    Processing,
    Streaming,
}

impl Span {
    const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Downloading => "downloading",
            Self::Processing => "processing",
            Self::Streaming => "streaming",
        }
    }
}

/// Something that goes on until this is dropped.
pub(crate) struct Running<'a> {
    names: Option<&'a Names>,
    /// A whole request if none.
    span: Option<Span>,
    began: Instant,
}

impl Measures {
    /// With a word before all names, if it is not empty; none are taken without one at all.
    pub(crate) fn new(namespace: Option<&str>) -> Self {
        Self(namespace.map(|namespace| {
            let name = |name: &str| match namespace {
                "" => name.to_owned(),
                namespace => format!("{namespace}_{name}"),
            };
            Box::new(Names {
                requests: name("requests_total"),
                errors: name("errors_total"),
                request_seconds: name("request_duration_seconds"),
                span_seconds: name("request_span_duration_seconds"),
                download_seconds: name("download_duration_seconds"),
                processing_seconds: name("processing_duration_seconds"),
                requests_now: name("requests_in_progress"),
                images_now: name("images_in_progress"),
            })
        }))
    }

    /// A request for a picture.
    pub(crate) fn request(&self) -> Running<'_> {
        if let Some(names) = &self.0 {
            metrics::counter!(names.requests.clone()).increment(1);
            metrics::gauge!(names.requests_now.clone()).increment(1);
        }
        Running { names: self.0.as_deref(), span: None, began: Instant::now() }
    }

    /// A part of a request.
    pub(crate) fn span(&self, span: Span) -> Running<'_> {
        if let (Some(names), Span::Processing) = (&self.0, span) {
            metrics::gauge!(names.images_now.clone()).increment(1);
        }
        Running { names: self.0.as_deref(), span: Some(span), began: Instant::now() }
    }

    /// A refusal.
    pub(crate) fn error(&self, error: &Error) {
        if let Some(names) = &self.0 {
            metrics::counter!(names.errors.clone(), "type" => kind(error)).increment(1);
        }
    }
}

/// The original's word for where a request failed.
fn kind(error: &Error) -> &'static str {
    match (error.status, error.public) {
        (StatusCode::FORBIDDEN, _) | (_, "Invalid source") => "security",
        (StatusCode::TOO_MANY_REQUESTS, _) => "queue",
        (StatusCode::SERVICE_UNAVAILABLE, _) => "timeout",
        (StatusCode::NOT_FOUND, "Invalid URL") => "path_parsing",
        (_, "Source image is unreachable" | "Invalid source image") => "download",
        _ => "processing",
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let Some(names) = self.names else { return };
        let seconds = self.began.elapsed().as_secs_f64();
        let Some(span) = self.span else {
            metrics::histogram!(names.request_seconds.clone()).record(seconds);
            metrics::gauge!(names.requests_now.clone()).decrement(1);
            return;
        };
        metrics::histogram!(names.span_seconds.clone(), "span" => span.name()).record(seconds);
        match span {
            Span::Downloading => metrics::histogram!(names.download_seconds.clone()).record(seconds),
            Span::Processing => {
                metrics::histogram!(names.processing_seconds.clone()).record(seconds);
                metrics::gauge!(names.images_now.clone()).decrement(1);
            }
            Span::Queue | Span::Streaming => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_originals_words() {
        let words = [
            Error::forbidden(""),
            Error::invalid_source(""),
            Error::too_many(),
            Error::timeout(),
            Error::invalid_url(""),
            Error::failing(""),
            Error::invalid_image(""),
            Error::unsupported(""),
        ]
        .map(|error| kind(&error));
        let wanted = [
            "security",
            "security",
            "queue",
            "timeout",
            "path_parsing",
            "download",
            "download",
            "processing",
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn a_namespace_goes_before_every_name() {
        let named = |namespace| Measures::new(namespace).0.map(|names| names.requests);
        assert_eq!(named(None), None);
        assert_eq!(named(Some("")).as_deref(), Some("requests_total"));
        assert_eq!(named(Some("img")).as_deref(), Some("img_requests_total"));
    }
}
