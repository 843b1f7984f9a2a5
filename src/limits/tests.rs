//! Permits are counted, waited for and given back.

use super::*;
use crossbeam::channel::TryRecvError;
use std::thread;

const LONG: Duration = Duration::from_secs(60);

fn new(total: usize, per_client: usize) -> StreamLimiter {
    StreamLimiter::new(Resource::Streams, total, per_client)
}

fn client(text: &str) -> Client {
    Client::new(text.parse().unwrap(), &[])
}

/// Returns the limit that refuses a client that does not wait.
fn full(limiter: &StreamLimiter, text: &str) -> LimitExceeded {
    match limiter.try_acquire(client(text), &CancelToken::new().unwrap(), Duration::ZERO) {
        Err(Error::LimitExceeded(full)) => full,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a permit was granted"),
    }
}

fn until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "timed out");
        thread::yield_now();
    }
}

#[test]
fn both_limits_hold_and_permits_come_back() {
    let (limiter, cancel) = (new(3, 2), CancelToken::new().unwrap());
    let now = |text| limiter.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
    let first = now("fd00::1");
    let _second = now("fd00::2");
    assert_eq!(full(&limiter, "fd00::3"), LimitExceeded::Client(Resource::Streams));
    let _third = now("10.0.0.1");
    assert_eq!(full(&limiter, "10.0.0.2"), LimitExceeded::Full(Resource::Streams));
    drop(first);
    assert_eq!(limiter.in_use(), 2);
    let _again = now("fd00::9");
    assert_eq!(full(&limiter, "10.0.0.3"), LimitExceeded::Full(Resource::Streams));
}

#[test]
fn a_permit_may_count_as_several() {
    let (limiter, cancel) = (new(10, 6), CancelToken::new().unwrap());
    let now =
        |weight, text| limiter.try_acquire_many(weight, client(text), &cancel, Duration::ZERO).ok();
    let first = now(4, "10.0.0.1").unwrap();
    assert!(now(3, "10.0.0.1").is_none());
    // No more than a client may have, and no more than there are.
    let _second = now(99, "10.0.0.2").unwrap();
    assert!(limiter.in_use() == 10 && now(1, "10.0.0.3").is_none());
    drop(first);
    assert!(limiter.in_use() == 6 && now(5, "10.0.0.3").is_none());
    assert!(now(4, "10.0.0.3").is_some() && limiter.in_use() == 6);
}

/// Returns how many permits clients with addresses by this pattern get.
fn taken(limiter: &StreamLimiter, address: impl Fn(usize) -> String) -> usize {
    let cancel = CancelToken::new().unwrap();
    let acquire =
        |number| limiter.try_acquire(client(&address(number)), &cancel, Duration::ZERO).ok();
    // Held until all are counted.
    (0..4 * limiter.total).filter_map(acquire).collect::<Vec<_>>().len()
}

#[test]
fn nobody_in_the_internet_gets_all_permits() {
    let limiter = new(64, 16);
    let one_of = |count: usize, pattern: &'static str| {
        taken(&limiter, |number| pattern.replace('X', &format!("{:02x}", number % count)))
    };
    assert_eq!(one_of(1, "9.9.9.9"), 16);
    assert_eq!(one_of(256, "2600:1:2:3::X"), 16);
    assert_eq!(one_of(256, "2600:1:2:30X::1"), 32);
    assert_eq!(one_of(256, "2600:1:2:X00::1"), 52);
    // Four addresses of different networks, and a neighbourhood.
    let four = ["9.1.1.1", "9.2.2.2", "9.3.3.3", "9.4.4.4"];
    assert_eq!(taken(&limiter, |number| four[number / 64].into()), 56);
    assert_eq!(taken(&limiter, |number| format!("9.9.9.{}", number % 250)), 32);
    // In the own network everybody may have what there is.
    assert_eq!(taken(&limiter, |number| format!("10.9.9.{}", number % 250)), 64);
}

#[test]
fn waiters_are_served_in_order_but_none_above_its_limit() {
    let (limiter, cancel) = (new(2, 1).without_queue_limit(), CancelToken::new().unwrap());
    let now = |text| limiter.try_acquire(client(text), &cancel, Duration::ZERO).unwrap();
    let (first, second) = (now("10.0.0.1"), now("10.0.0.2"));
    let (granted, order) = channel::unbounded();
    thread::scope(|scope| {
        for (ahead, text) in ["10.0.0.1", "10.0.0.3", "10.0.0.4"].into_iter().enumerate() {
            let (limiter, cancel, granted) = (&limiter, &cancel, granted.clone());
            scope.spawn(move || {
                let permit = limiter.try_acquire(client(text), cancel, LONG).unwrap();
                granted.send((text, permit)).unwrap();
            });
            until(|| limiter.waiting() == ahead + 1);
        }
        // The first of them is at its limit.
        drop(second);
        let (text, third) = order.recv().unwrap();
        assert_eq!((text, limiter.waiting()), ("10.0.0.3", 2));
        drop(first);
        let (text, again) = order.recv().unwrap();
        assert_eq!(text, "10.0.0.1");
        drop((third, again));
        assert_eq!(order.recv().unwrap().0, "10.0.0.4");
    });
    assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
}

#[test]
fn who_uses_a_token_counts_by_it() {
    let token =
        |id, streams| TokenLimits { id, streams, muxers: Some(1), ..TokenLimits::default() };
    let limiter = new(8, 3);
    let mut held = Vec::new();
    let mut granted = |address, token| {
        let client = client(address).with_token(token);
        let granted: Vec<_> = (0..9).map_while(|_| limiter.acquire_now(client).ok()).collect();
        let count = granted.len();
        held.extend(granted);
        count
    };
    assert_eq!(granted("9.9.9.9", token(1, Some(2))), 2);
    assert_eq!(granted("10.0.0.1", token(1, Some(2))), 0);
    assert_eq!(granted("9.9.9.9", token(2, None)), 3);
    // A share of its own, not what is left to strangers.
    assert_eq!(granted("9.9.9.9", token(3, Some(100))), 3);
    // What they hold is not what strangers next to them hold.
    drop(held);
    let stranger = client("9.9.9.9");
    let strangers: Vec<_> = (0..9).map_while(|_| limiter.acquire_now(stranger).ok()).collect();
    assert_eq!((strangers.len(), limiter.in_use()), (3, 3));
}

#[test]
fn strangers_have_a_share_of_their_own() {
    let limiter = new(64, 16).with_max_per_stranger(4);
    let granted = |client| {
        let granted: Vec<_> = (0..99).map_while(|_| limiter.acquire_now(client).ok()).collect();
        granted.len()
    };
    let none = TokenLimits { id: 1, ..TokenLimits::default() };
    assert_eq!(granted(client("9.9.9.9")), 4);
    assert_eq!(granted(client("10.0.0.1")), 16);
    assert_eq!(granted(client("9.9.9.9").with_token(none)), 16);
    let network = ["9.9.9.1", "9.9.9.2", "9.9.9.3"].map(client);
    let held: Vec<_> = network
        .iter()
        .flat_map(|client| (0..4).filter_map(|_| limiter.acquire_now(*client).ok()))
        .collect();
    assert_eq!(held.len(), 8, "twice as many for the network around them");
}

#[test]
fn a_wait_ends_with_its_download_or_in_time_and_the_queue_is_limited() {
    let (limiter, cancel) = (new(1, 1), CancelToken::new().unwrap());
    let first = limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
    let short = limiter.try_acquire(client("10.0.0.2"), &cancel, Duration::from_millis(1));
    assert!(matches!(short, Err(Error::LimitExceeded(LimitExceeded::Full(Resource::Streams)))));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
        let also = scope.spawn(|| limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).err());
        until(|| limiter.waiting() == 2);
        let another = CancelToken::new().unwrap();
        let too_many = limiter.try_acquire(client("10.0.0.3"), &another, LONG).err();
        assert_eq!(too_many, Some(Error::LimitExceeded(LimitExceeded::Full(Resource::Streams))));
        cancel.cancel();
        assert_eq!(waiting.join().unwrap(), Some(Error::Stopped));
        assert_eq!(also.join().unwrap(), Some(Error::Stopped));
    });
    drop(first);
    assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
    let endless = new(0, 0).without_queue_limit();
    assert!(endless.try_acquire(client("10.0.0.1"), &cancel, LONG).is_err());
}

#[test]
fn closing_waits_for_the_last_permit_and_refuses_waiters() {
    let (limiter, cancel) = (new(1, 1), CancelToken::new().unwrap());
    let permit = limiter.try_acquire(client("10.0.0.1"), &cancel, LONG).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| limiter.try_acquire(client("10.0.0.2"), &cancel, LONG).err());
        until(|| limiter.waiting() == 1);
        let drained = limiter.close();
        assert_eq!(waiting.join().unwrap(), Some(Error::LimitExceeded(LimitExceeded::Draining)));
        assert_eq!(drained.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(full(&limiter, "10.0.0.1"), LimitExceeded::Draining);
        drop(permit);
        assert_eq!(drained.try_recv(), Err(TryRecvError::Disconnected));
    });
}
