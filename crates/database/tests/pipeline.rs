//! Many request transactions on one connection.
#![allow(clippy::unwrap_used)]

mod support;

use database::{Connection, Error, Param, PipelinedRequest, RequestContext, Statement};

async fn claims_seen(connection: &mut Connection, requests: &[(RequestContext<'_>, &str)]) -> Vec<String> {
    let params: Vec<[Param<'_>; 1]> = requests.iter().map(|(_, divisor)| [Param::Text(divisor)]).collect();
    let sql = "select current_setting('request.jwt.claims') || ' ' || 10 / $1::int4";
    let statements: Vec<[Statement<'_>; 1]> =
        params.iter().map(|params| [Statement::new(sql, params)]).collect();
    let pipeline: Vec<PipelinedRequest<'_>> = requests
        .iter()
        .zip(&statements)
        .map(|((context, _), statements)| PipelinedRequest { context, statements })
        .collect();
    let answers = connection.pipeline(&pipeline).await.unwrap();
    answers
        .into_iter()
        .map(|answer| match answer {
            Ok(results) => results[0].scalar().unwrap().to_owned(),
            Err(Error::Db(report)) => format!("{} at {:?}", report.code, report.statement),
            Err(other) => panic!("{other}"),
        })
        .collect()
}

each_server! {
    async fn each_request_has_its_own_settings_and_its_own_failure(cluster) {
        let mut connection = cluster.connect().await;
        let context = |claims: String| RequestContext::default().with_claims(claims);
        let requests: Vec<_> = (0..300)
            .map(|number| (context(number.to_string()), if number % 7 == 3 { "0" } else { "5" }))
            .collect();
        let expected: Vec<String> = (0..300)
            .map(|number| if number % 7 == 3 { "22012 at Some(0)".to_owned() } else { format!("{number} 2") })
            .collect();
        assert_eq!(claims_seen(&mut connection, &requests).await, expected);
        // Nothing is left of the last one.
        let left = connection.simple_query("select current_setting('request.jwt.claims', true)").await.unwrap();
        assert_eq!(left[0].scalar(), Some(""));
        assert!(claims_seen(&mut connection, &[]).await.is_empty());
    }

    async fn a_statement_that_the_failing_first_was_to_prepare_is_prepared_by_the_next(cluster) {
        let mut connection = cluster.connect().await;
        // Its role does not exist, so that its statement is never parsed.
        let mut requests = vec![(RequestContext::new("nobody_here").with_claims("0"), "5")];
        requests.extend((1..100).map(|number| (RequestContext::default().with_claims(number.to_string()), "5")));
        requests.push((RequestContext::new("nobody_else").with_claims("100"), "5"));
        let seen = claims_seen(&mut connection, &requests).await;
        assert!(seen[0].ends_with("at None") && seen[100].ends_with("at None"), "{seen:?}");
        let expected: Vec<String> = (1..100).map(|number| format!("{number} 2")).collect();
        assert_eq!(seen[1..100], expected);
    }

    async fn answers_larger_than_every_buffer_do_not_block(cluster) {
        let mut connection = cluster.connect().await;
        let context = RequestContext::default();
        let text = "x".repeat(20_000);
        let params = [Param::Text(&text)];
        let statements = [Statement::new("select repeat($1, 10)", &params)];
        let pipeline = vec![PipelinedRequest { context: &context, statements: &statements }; 200];
        let answers = connection.pipeline(&pipeline).await.unwrap();
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap()[0].scalar().map(str::len) == Some(200_000)));
    }
}
