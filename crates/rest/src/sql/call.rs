//! The call of a function.

use crate::plan::call::{Arguments, CallPlan, Value};
use crate::plan::tree::{Column, Source};
use crate::sql::fragment::array_literal;
use crate::sql::mutate::from_json;
use crate::sql::{Parameter, Sql};

/// The select that calls a function.
pub(super) fn select<'a>(sql: &mut Sql<'a>, plan: &CallPlan<'a>) {
    let result = Source::alias("pgrst_call");
    sql.push("SELECT ");
    if plan.routine.returns_scalar() || plan.routine.returns_set_of_scalar() {
        sql.push("pgrst_call.pgrst_scalar");
    } else if plan.returning.is_empty() {
        sql.push("*");
    } else if plan.returning.contains("*") {
        sql.column(&result, "*");
    } else {
        let names: Vec<&str> = plan.returning.union(&plan.filtered).copied().collect();
        sql.list(names, ", ", |sql, name| {
            sql.column(&result, name);
        });
    }
    sql.push(" ");
    match &plan.arguments {
        Arguments::None => {
            sql.push("FROM ");
            call(sql, plan, |_| {});
        }
        Arguments::Single { body, parameter } => {
            sql.push("FROM ");
            call(sql, plan, |sql| {
                if parameter.data_type == "bytea" {
                    sql.parameter(Parameter::Bytes(body));
                } else {
                    sql.parameter(Parameter::Raw(body)).push("::").trusted(&parameter.data_type);
                }
            });
        }
        Arguments::Named(arguments) => {
            sql.push("FROM ");
            call(sql, plan, |sql| {
                sql.list(arguments, ", ", |sql, (parameter, value)| {
                    if parameter.variadic {
                        sql.push("VARIADIC ");
                    }
                    sql.identifier(&parameter.name).push(" := ");
                    match value {
                        Value::One(text) => sql.value(*text),
                        Value::Many(texts) => sql.value(array_literal(texts)),
                    };
                    sql.push("::").trusted(&parameter.wide_type);
                });
            });
        }
        Arguments::Json { body, parameters } => {
            let columns: Vec<Column<'a>> = parameters
                .iter()
                .map(|parameter| Column {
                    value_type: &parameter.wide_type,
                    ..Column::unknown(parameter.name.as_str(), &[])
                })
                .collect();
            from_json(sql, body, &columns, true, false);
            sql.push(", LATERAL ");
            call(sql, plan, |sql| {
                sql.list(parameters, ", ", |sql, parameter| {
                    if parameter.variadic {
                        sql.push("VARIADIC ");
                    }
                    sql.identifier(&parameter.name).push(" := pgrst_body.").identifier(&parameter.name);
                });
            });
        }
    }
}

fn call<'a>(sql: &mut Sql<'a>, plan: &CallPlan<'a>, arguments: impl FnOnce(&mut Sql<'a>)) {
    let scalar = plan.routine.returns_scalar() || plan.routine.returns_set_of_scalar();
    if scalar {
        sql.push("(SELECT ");
    }
    sql.qualified(&plan.routine.name.schema, &plan.routine.name.name).push("(");
    arguments(sql);
    sql.push(if scalar { ") pgrst_scalar) pgrst_call" } else { ") pgrst_call" });
}
