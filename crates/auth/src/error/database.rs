//! What a database error tells the caller, and what it tells the operator.

use ::database::DbError;

use super::{ApiError, Cause};

/// The SQLSTATEs that users raise on purpose and old clients see: exceptions and constraint violations.
const PUBLIC: [&str; 8] = ["P0001", "23000", "23001", "23502", "23503", "23505", "23514", "23P01"];

/// The status under which a database error is shown to callers of the old API, if it is shown at all.
///
/// `PTxyz` chooses the status itself, as in PostgREST.
pub(super) fn public_status(sqlstate: &str) -> Option<u16> {
    if PUBLIC.contains(&sqlstate) {
        return Some(500);
    }
    let status = sqlstate.strip_prefix("PT").filter(|digits| digits.len() == 3)?.parse().ok()?;
    (100..1000).contains(&status).then_some(status)
}

/// The database error right behind an error of ours; errors nested deeper stay hidden.
pub(super) fn behind(error: &ApiError) -> Option<&DbError> {
    match &error.cause {
        Some(Cause::Database(error)) => error.as_db(),
        _ => None,
    }
}

/// The database error at the bottom of a chain of causes.
pub(super) fn root(cause: &Cause) -> Option<&DbError> {
    match cause {
        Cause::Database(error) => error.as_db(),
        Cause::Nested(error) => match &**error {
            super::Error::Api(api) => api.cause.as_ref().and_then(root),
            super::Error::Unexpected(cause) => root(cause),
            _ => None,
        },
        Cause::Other(_) => None,
    }
}

/// The innermost function in a CONTEXT that users write, such as `public.handle_new_user()`.
pub(super) fn function(context: &str) -> Option<&str> {
    context.lines().find_map(|line| {
        let rest = line.strip_prefix("PL/pgSQL function ").or_else(|| line.strip_prefix("SQL function "))?;
        let rest = rest.trim_start_matches('"');
        let end = match rest.find(')') {
            Some(end) => end + 1,
            None => rest.find(['"', ' ']).unwrap_or(rest.len()),
        };
        Some(&rest[..end])
    })
}

/// What the operator can do about it.
pub(super) fn hint(sqlstate: &str, function: Option<&str>) -> Option<String> {
    let name = function?;
    let advice = match sqlstate {
        "42P01" | "42883" | "42704" => {
            "it names something that is not on the search_path, which is `auth` for this service: \
             write the schema in front of the name, or add `set search_path` to the function"
        }
        "42501" => {
            "it runs with this service's rights: declare it `security definer`, or grant what it needs"
        }
        "23505" | "23503" | "23502" | "23514" => {
            "the row it writes violates a constraint: compare what it inserts with the table's definition"
        }
        _ => "every sign-up that fires it will fail until it is corrected or its trigger is dropped",
    };
    Some(format!("the error comes from your function {name}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_raised_exceptions_and_constraints_are_public() {
        assert_eq!(public_status("P0001"), Some(500));
        assert_eq!(public_status("23505"), Some(500));
        assert_eq!(public_status("PT409"), Some(409));
        for hidden in ["42P01", "42501", "PTabc", "PT4", "PT000", "57014"] {
            assert_eq!(public_status(hidden), None, "{hidden}");
        }
    }

    #[test]
    fn the_function_is_found_in_the_context() {
        let context = "SQL statement \"insert into profiles (id) values (new.id)\"\n\
                       PL/pgSQL function public.handle_new_user() line 3 at SQL statement";
        assert_eq!(function(context), Some("public.handle_new_user()"));
        assert_eq!(function("SQL function \"add_profile\" statement 1"), Some("add_profile"));
        assert_eq!(function("COPY users, line 1"), None);
    }
}
