//! Mail: templates, messages and their delivery by SMTP.
