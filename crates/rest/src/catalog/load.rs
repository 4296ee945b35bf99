//! Reading the catalogue from the database.
