//! What has to be asked at Stripe, leases, and runs.

use tollgate_domain::Timestamp;
use tollgate_store::doubts::{self, ClaimedDoubt, NewDoubt};
use tollgate_store::reconciliation_runs::{self as runs, Run, RunEnd};
use tollgate_store::{Db, leases};

use crate::database::write;
use crate::sample::{account, at, object};

async fn raise(db: &Db, ids: &[&str], due: Timestamp) {
    let new = |id: &&str| NewDoubt { object: object(id), reason: "tie", at: due };
    let all: Vec<NewDoubt> = ids.iter().map(new).collect();
    write(db, async |tx| doubts::raise(tx, &all).await).await.unwrap();
}

fn ids(claimed: &[ClaimedDoubt]) -> Vec<&str> {
    claimed.iter().map(|one| one.object.as_str()).collect()
}

fn run(id: &str, kind: &str, seconds: i64) -> Run {
    Run {
        id: id.to_owned(),
        kind: kind.to_owned(),
        account: None,
        dry_run: false,
        status: "running".to_owned(),
        progress: "{}".to_owned(),
        report: "{}".to_owned(),
        error: None,
        started_at: at(seconds),
        updated_at: at(seconds),
        finished_at: None,
    }
}

on_both! {
    an_object_is_asked_for_once_at_a_time: |db| async {
        raise(db, &["sub_1", "sub_2", "sub_1"], at(0)).await;
        raise(db, &["sub_3"], at(60)).await;
        assert_eq!(doubts::count(db).await.unwrap(), 3);
        let mut claimed = doubts::claim(db, at(0), at(30), 10).await.unwrap();
        claimed.sort_by(|a, b| a.object.cmp(&b.object));
        assert_eq!(ids(&claimed), ["sub_1", "sub_2"]);
        assert!(doubts::claim(db, at(1), at(31), 10).await.unwrap().is_empty());
        // A lease that ran out is another's, and the old one settles nothing.
        let later = doubts::claim(db, at(30), at(60), 10).await.unwrap();
        assert_eq!(later.len(), 2);
        doubts::settle(db, &claimed[0]).await.unwrap();
        assert_eq!(doubts::count(db).await.unwrap(), 3);
        for one in &later {
            doubts::settle(db, one).await.unwrap();
        }
        assert_eq!(doubts::count(db).await.unwrap(), 1);
    }

    a_doubt_that_comes_while_stripe_is_asked_is_asked_about_again: |db| async {
        raise(db, &["sub_1"], at(0)).await;
        let first = doubts::claim(db, at(0), at(30), 10).await.unwrap().remove(0);
        raise(db, &["sub_1"], at(1)).await;
        doubts::settle(db, &first).await.unwrap();
        let second = doubts::claim(db, at(2), at(32), 10).await.unwrap().remove(0);
        assert!(second.asked > first.asked);
        doubts::postpone(db, &second, at(90)).await.unwrap();
        assert!(doubts::claim(db, at(89), at(99), 10).await.unwrap().is_empty());
        let third = doubts::claim(db, at(90), at(99), 10).await.unwrap().remove(0);
        assert_eq!(third.attempts, 1);
        doubts::settle(db, &third).await.unwrap();
        assert_eq!(doubts::count(db).await.unwrap(), 0);
    }

    whoever_is_at_a_place_is_there_until_it_leaves_or_is_silent: |db| async {
        assert!(!leases::is_anybody_there(db, "serving", at(0)).await.unwrap());
        leases::be_there(db, "serving", "a", at(0), at(15)).await.unwrap();
        leases::be_there(db, "serving", "b", at(1), at(16)).await.unwrap();
        leases::be_there(db, "elsewhere", "c", at(0), at(900)).await.unwrap();
        leases::leave(db, "serving", "a").await.unwrap();
        assert!(leases::is_anybody_there(db, "serving", at(15)).await.unwrap(), "b is");
        assert!(!leases::is_anybody_there(db, "serving", at(16)).await.unwrap(), "b is silent");
        leases::be_there(db, "serving", "d", at(20), at(35)).await.unwrap();
        assert_eq!(db.number("SELECT COUNT(*) FROM leases").await, 2, "b is forgotten");
    }

    a_lease_is_one_holders: |db| async {
        let first = leases::take(db, "work", "a", at(0), at(30)).await.unwrap().unwrap();
        assert_eq!(leases::take(db, "work", "b", at(29), at(59)).await.unwrap(), None);
        assert!(leases::take(db, "other", "b", at(0), at(30)).await.unwrap().is_some());
        assert!(leases::renew(db, &first, at(40)).await.unwrap());
        assert_eq!(leases::take(db, "work", "b", at(39), at(69)).await.unwrap(), None);
        let second = leases::take(db, "work", "b", at(40), at(70)).await.unwrap().unwrap();
        assert!(second.generation > first.generation);
        assert!(!leases::renew(db, &first, at(80)).await.unwrap());
        leases::release(db, &first).await.unwrap();
        assert_eq!(leases::take(db, "work", "a", at(50), at(80)).await.unwrap(), None);
        leases::release(db, &second).await.unwrap();
        assert!(leases::take(db, "work", "a", at(51), at(81)).await.unwrap().is_some());
    }

    runs_are_gone_on_with_until_they_end: |db| async {
        runs::insert(db, &run("rec_1", "sweep", 0)).await.unwrap();
        runs::insert(db, &Run { account: Some(account("acme")), ..run("rec_2", "sweep", 1) })
            .await
            .unwrap();
        runs::save(db, "rec_1", "here", "much", at(5)).await.unwrap();
        let found = runs::unfinished(db, "sweep", None, false).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.progress.as_str()), ("rec_1", "here"));
        assert_eq!(runs::unfinished(db, "sweep", None, true).await.unwrap(), None);
        let of = runs::unfinished(db, "sweep", Some(&account("acme")), false).await.unwrap();
        assert_eq!(of.unwrap().id, "rec_2");
        assert_eq!(runs::last_whole(db, "sweep").await.unwrap(), None);
        runs::finish(db, "rec_1", "all", &RunEnd::Done, at(9)).await.unwrap();
        runs::finish(db, "rec_2", "some", &RunEnd::Failed("why".to_owned()), at(9)).await.unwrap();
        assert_eq!(runs::unfinished(db, "sweep", None, false).await.unwrap(), None);
        assert_eq!(runs::last_whole(db, "sweep").await.unwrap(), Some(at(0)));
        // What ended is not begun again.
        runs::save(db, "rec_1", "there", "more", at(10)).await.unwrap();
        let all = runs::list(db, at(100), 10).await.unwrap();
        let shown: Vec<_> = all.iter().map(|run| (run.id.as_str(), run.status.as_str())).collect();
        assert_eq!(shown, [("rec_2", "failed"), ("rec_1", "done")]);
        assert_eq!((all[1].report.as_str(), all[0].error.as_deref()), ("all", Some("why")));
        assert_eq!(runs::list(db, at(1), 10).await.unwrap().len(), 1);
        assert_eq!(runs::forget(db, at(10)).await.unwrap(), 2);
    }
}
