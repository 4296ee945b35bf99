//! The development mail catcher: SMTP in, a page and an API out.
