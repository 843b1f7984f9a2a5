//! [`in_parallel`] does the same for several tracks at a time.

use std::thread;

use crate::error::Error;
use crate::request_id::carried;

/// Runs `work` with each item at the same time, the last one on this thread.
pub(super) fn in_parallel<I: Send, T: Send>(
    mut items: Vec<I>,
    work: impl Fn(I) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let (last, work) = (items.pop(), &work);
    thread::scope(|scope| {
        let threads = items.into_iter().map(|item| {
            let thread = thread::Builder::new().name("playlist".into());
            let started = thread.spawn_scoped(scope, carried(move || work(item)));
            started.map_err(|e| Error::system("start a thread", &e))
        });
        let threads = threads.collect::<Result<Vec<_>, Error>>()?;
        let last = last.map(work);
        let panicked = || Err(Error::Internal("a thread panicked"));
        let done = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| panicked()));
        done.chain(last).collect()
    })
}
