//! Many request transactions on one connection, sent before the first is answered.

use std::collections::VecDeque;

use crate::batch::{BatchError, Progress, SentBatch, Step};
use crate::connection::Connection;
use crate::error::Error;
use crate::request::{self, Bounds, RequestContext};
use crate::result::ResultSet;
use crate::statement::Statement;

/// How many requests are under way at most: enough to keep the server busy while answers are read.
const WINDOW: usize = 64;

/// One request of a pipeline.
#[derive(Debug, Clone, Copy)]
pub struct PipelinedRequest<'a> {
    /// Under whose name and with which settings.
    pub context: &'a RequestContext<'a>,
    /// What is run.
    pub statements: &'a [Statement<'a>],
}

/// A request whose answer is to come.
struct Flight {
    index: usize,
    batch: SentBatch,
    first: usize,
    count: usize,
}

impl Connection {
    /// Runs requests one after the other, each a transaction of its own as with [`Connection::request`], without waiting
    /// for one to be answered before the next is sent. One that fails concerns no other.
    ///
    /// The first is answered before the others are sent, so that statements they share are prepared once. The outer error
    /// is a connection that is of no more use; requests may have been committed then.
    pub async fn pipeline(
        &mut self,
        requests: &[PipelinedRequest<'_>],
    ) -> Result<Vec<Result<Vec<ResultSet>, Error>>, Error> {
        let mut results = Vec::with_capacity(requests.len());
        let Some((first, rest)) = requests.split_first() else { return Ok(results) };
        results.push(self.one(first).await?);
        let mut repeat = Vec::new();
        let mut flights: VecDeque<Flight> = VecDeque::with_capacity(WINDOW);
        let mut waiting = rest.iter().enumerate();
        loop {
            if flights.len() <= WINDOW / 2 {
                while flights.len() < WINDOW
                    && let Some((index, request)) = waiting.next()
                {
                    flights.push_back(self.send_flight(index + 1, request)?);
                }
                self.wire.flush().await?;
            }
            let Some(mut flight) = flights.pop_front() else { break };
            match self.read_flight(&mut flight).await {
                Ok(answer) => results.push(Ok(answer)),
                Err(BatchError::Other(error)) => return Err(error),
                Err(BatchError::Statement { report, piece, stale }) => {
                    // It was bound to a statement that another one, which failed, should have prepared; or an old one.
                    if stale || report.code == *"26000" {
                        repeat.push(flight.index);
                    }
                    let error = BatchError::Statement { report, piece, stale };
                    results.push(Err(error.into_error(flight.first, flight.count)));
                }
            }
        }
        for index in repeat {
            results[index] = self.one(&requests[index]).await?;
        }
        Ok(results)
    }

    /// One request by itself. The outer error is a connection that is of no more use.
    async fn one(&mut self, request: &PipelinedRequest<'_>) -> Result<Result<Vec<ResultSet>, Error>, Error> {
        match self.request(request.context, request.statements).await {
            Err(error) if self.is_broken() => Err(error),
            other => Ok(other),
        }
    }

    fn send_flight(&mut self, index: usize, request: &PipelinedRequest<'_>) -> Result<Flight, Error> {
        let settings = request::settings(request.context, Bounds::Whole);
        let plan = request::plan(request.context, &settings, request.statements, Bounds::Whole);
        if plan.explicit {
            return Err(Error::Protocol("a pipelined request has no isolation or end of its own".into()));
        }
        let batch = self.send_pieces(&plan.pieces)?;
        Ok(Flight { index, batch, first: plan.first, count: plan.count })
    }

    async fn read_flight(&mut self, flight: &mut Flight) -> Result<Vec<ResultSet>, BatchError> {
        let mut results = Vec::with_capacity(flight.count);
        let mut rows = Vec::new();
        let mut progress = Progress::default();
        loop {
            let message = self.wire.message().await?;
            match self.step(message, &mut flight.batch, &mut progress)? {
                Step::Nothing | Step::Begin(_) => {}
                Step::Row(row) => rows.push(row),
                Step::Complete(piece, tag) => {
                    let rows = std::mem::take(&mut rows);
                    if let Some(sent) = flight.batch.get(piece).filter(|sent| sent.wanted) {
                        let columns = sent.columns.clone().unwrap_or_else(crate::batch::no_columns);
                        results.push(ResultSet { columns, rows, tag });
                    }
                }
                Step::End(outcome) => return outcome.map(|()| results),
            }
        }
    }
}
