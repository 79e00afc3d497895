//! Claims to customers, pending purchases and the calls made for them.

use tollgate_domain::ids::{CustomerId, MemberId, SessionId};
use tollgate_store::checkout_attempts::{self, AttemptSession, AttemptStatus, NewAttempt};
use tollgate_store::customer_claims::{self, Claimant};
use tollgate_store::stripe_requests;

use crate::sample::{account, at};

on_both! {
    a_call_is_noted_once_and_settled_once: |db| async {
        let acme = account("acme");
        let first = stripe_requests::note(db, &acme, "cl_1", "email=a%40b.c").await.unwrap();
        assert_eq!((first.generation, first.first_sent_at), (0, None));
        let again = stripe_requests::note(db, &acme, "cl_1", "email=other").await.unwrap();
        assert_eq!(again, first, "the parameters are those of the first time");

        assert!(stripe_requests::mark_sent(db, &first, at(5)).await.unwrap());
        assert!(stripe_requests::mark_sent(db, &first, at(9)).await.unwrap());
        let sent = stripe_requests::find(db, &acme, "cl_1").await.unwrap().unwrap();
        assert_eq!((sent.first_sent_at, sent.last_sent_at), (Some(at(5)), Some(at(9))));

        assert!(stripe_requests::settle(db, &sent, "cus_1", at(10)).await.unwrap());
        assert!(!stripe_requests::settle(db, &sent, "cus_2", at(11)).await.unwrap());
        assert!(!stripe_requests::mark_sent(db, &sent, at(12)).await.unwrap());
        let settled = stripe_requests::find(db, &acme, "cl_1").await.unwrap().unwrap();
        assert_eq!((settled.object.as_deref(), settled.form.as_str()), (Some("cus_1"), ""));
        assert_eq!(stripe_requests::find(db, &account("other"), "cl_1").await.unwrap(), None);
    }

    a_new_generation_begins_once: |db| async {
        let acme = account("acme");
        let first = stripe_requests::note(db, &acme, "sub_1:change", "a=1").await.unwrap();
        stripe_requests::mark_sent(db, &first, at(1)).await.unwrap();
        assert!(stripe_requests::renew(db, &first, "a=2").await.unwrap());
        assert!(!stripe_requests::renew(db, &first, "a=3").await.unwrap(), "another was first");
        let second = stripe_requests::find(db, &acme, "sub_1:change").await.unwrap().unwrap();
        assert_eq!((second.generation, second.form.as_str()), (1, "a=2"));
        assert_eq!((second.first_sent_at, second.last_sent_at), (None, None));
        assert!(!stripe_requests::settle(db, &first, "sub_1", at(3)).await.unwrap());
        assert!(!stripe_requests::mark_sent(db, &first, at(3)).await.unwrap());
    }

    an_account_and_each_member_have_one_customer: |db| async {
        let acme = account("acme");
        let member = MemberId::parse("m1").unwrap();
        let own = Claimant { account: &acme, member: None };
        let theirs = Claimant { account: &acme, member: Some(&member) };
        assert_eq!(customer_claims::find(db, own).await.unwrap(), None);
        let claim = customer_claims::claim(db, own, "cl_1", at(0)).await.unwrap();
        assert_eq!(customer_claims::claim(db, own, "cl_2", at(9)).await.unwrap(), claim);
        assert_eq!(customer_claims::claim(db, theirs, "cl_3", at(0)).await.unwrap().id, "cl_3");

        let customer = |id: &str| CustomerId::parse(id).unwrap();
        assert!(customer_claims::settle(db, own, "cl_1", &customer("cus_1")).await.unwrap());
        assert!(!customer_claims::settle(db, own, "cl_1", &customer("cus_2")).await.unwrap());
        let found = customer_claims::find(db, own).await.unwrap().unwrap();
        assert_eq!(found.customer, Some(customer("cus_1")));

        assert!(customer_claims::replace(db, own, ("cl_1", "cl_4"), at(9)).await.unwrap());
        assert!(!customer_claims::replace(db, own, ("cl_1", "cl_5"), at(9)).await.unwrap());
        let found = customer_claims::find(db, own).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.customer), ("cl_4", None));
        assert!(!customer_claims::settle(db, own, "cl_1", &customer("cus_1")).await.unwrap());
    }

    one_purchase_of_a_kind_is_pending: |db| async {
        let acme = account("acme");
        let who = Claimant { account: &acme, member: None };
        let new = |id, kind, fingerprint| NewAttempt { id, who, kind, fingerprint };
        let begin = async |new: &NewAttempt<'_>| {
            checkout_attempts::begin(db, new, at(0)).await.unwrap().unwrap()
        };
        let first = begin(&new("ca_1", "plan", "f1")).await;
        assert_eq!((first.status, first.session.as_ref()), (AttemptStatus::Open, None));
        assert_eq!(begin(&new("ca_2", "plan", "f2")).await, first);
        assert_eq!(begin(&new("ca_3", "badge", "f1")).await.id, "ca_3");

        let id = SessionId::parse("cs_test_1").unwrap();
        let session = AttemptSession { id: id.clone(), url: "https://c/1".to_owned(), expires_at: at(60) };
        assert!(checkout_attempts::settle(db, &first, &session).await.unwrap());
        assert!(!checkout_attempts::settle(db, &first, &session).await.unwrap());
        let found = checkout_attempts::find_by_session(db, &id).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.session), ("ca_1", Some(session)));

        assert!(checkout_attempts::close(db, &first, AttemptStatus::Complete, at(5)).await.unwrap());
        assert!(!checkout_attempts::close(db, &first, AttemptStatus::Expired, at(6)).await.unwrap());
        let found = checkout_attempts::find_by_session(db, &id).await.unwrap().unwrap();
        assert_eq!(found.status, AttemptStatus::Complete);
        assert_eq!(begin(&new("ca_4", "plan", "f1")).await.id, "ca_4");
    }
}
