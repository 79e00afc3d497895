//! Two instances, one database, doubled and shuffled deliveries.

use tokio::sync::watch;

use super::process::Process;
use super::sender::{Post, lives};
use crate::support::{State, TestDatabase};

const CUSTOMERS: usize = 728;
const EVENTS: usize = 8_000;
const CONNECTIONS: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_thousand_events_a_quarter_twice_into_two_instances_count_once() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events: Vec<_> = lives(CUSTOMERS).into_iter().take(EVENTS).collect();
    assert_eq!(events.len(), EVENTS);
    let once_in_order = State::of_untroubled_run(&events).await;

    let mut deliveries = events.clone();
    deliveries.extend(events.iter().step_by(4).cloned());
    fastrand::Rng::with_seed(7).shuffle(&mut deliveries);
    let url = database.url();
    let one = Process::start(&url, folder.path()).await;
    let two = Process::start(&url, folder.path()).await;
    let (_keep_one, to_one) = watch::channel(one.address);
    let (_keep_two, to_two) = watch::channel(two.address);
    let post = Post::new(deliveries);
    post.send(CONNECTIONS, &[to_one, to_two]).await;
    assert_eq!(post.ledger().len(), EVENTS);
    assert_eq!(post.refused(), 0);
    for (id, statuses) in post.ledger() {
        let processed = statuses.iter().filter(|status| *status == "processed").count();
        assert!(processed <= 1, "{id} was processed {processed} times");
    }
    assert!(one.stop().await && two.stop().await);

    let state = State::settled(&url).await;
    assert_eq!(state.inbox.len(), EVENTS);
    assert_eq!(state, once_in_order);
}
