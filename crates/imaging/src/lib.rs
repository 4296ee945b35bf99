//! Decode, transform and encode images: a pure library, no HTTP, no database.
