//! Lives in the stateful sandbox: what the engine's rules make of all its events, in every API
//! version, is what the sandbox holds to be true.

use tollgate_domain::Timestamp;
use tollgate_sandbox::sandbox::{
    ApiRequest, Card, Method, Params, PortalAct, Sandbox, SandboxOptions, Settings,
    SubscriptionTruth,
};
use tollgate_sandbox::{ApiVersion, Happening};

use crate::engine::run;
use crate::{NOW, catalog, observe};

const DAY: i64 = 86_400;

fn call(sandbox: &mut Sandbox, line: &str, form: &str) -> serde_json::Value {
    let (method, path) = line.split_once(' ').unwrap();
    let method = if method == "GET" { Method::Get } else { Method::Post };
    let reply = sandbox.call(&ApiRequest::new(method, path, Params::from_form(form).unwrap()));
    assert_eq!(reply.status, 200, "{line} {form}: {:#}", reply.body);
    reply.body
}

fn id(value: &serde_json::Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

/// Four months of an account that buys, changes, fails, pauses and cancels as the seed has it.
fn lived(seed: u64) -> Sandbox {
    let settings = Settings { default_version: ApiVersion::Endive, ..Settings::default() };
    let mut sandbox = Sandbox::new(SandboxOptions { seed, now: NOW, settings });
    sandbox.stock(&catalog("sietch"));
    let mut rng = fastrand::Rng::with_seed(seed);
    let form = "email=a@b.example&metadata[account_id]=acme&payment_method=pm_card_visa\
         &invoice_settings[default_payment_method]=pm_card_visa";
    let customer = id(&call(&mut sandbox, "POST /v1/customers", form));
    let trial = if rng.bool() { "&trial_period_days=10" } else { "" };
    let form = format!(
        "customer={customer}&metadata[account_id]=acme\
         &items[0][price]=price_sietch_premium_monthly{trial}"
    );
    let subscription = id(&call(&mut sandbox, "POST /v1/subscriptions", &form));
    let session =
        call(&mut sandbox, "POST /v1/billing_portal/sessions", &format!("customer={customer}"));
    let session = id(&session);
    let act = |price: &str| PortalAct::ChangePrice {
        subscription: subscription.clone(),
        price: price.to_owned(),
        quantity: None,
    };
    for _ in 0..6 {
        sandbox.advance_to(sandbox.now() + rng.i64(1..20 * DAY));
        let act = match rng.u32(0..9) {
            0 => act("price_sietch_elite_monthly"),
            1 => act("price_sietch_basic_monthly"),
            2 => act("price_sietch_premium_yearly"),
            3 => PortalAct::Cancel { subscription: subscription.clone() },
            4 => PortalAct::Pause { subscription: subscription.clone() },
            5 | 6 => PortalAct::Resume { subscription: subscription.clone() },
            7 => PortalAct::UseCard(Card::Declined),
            _ => PortalAct::UseCard(Card::Good),
        };
        // What cannot be done now is refused, and changes nothing.
        drop(sandbox.portal_act(&session, &act));
    }
    sandbox.advance_to(NOW + 150 * DAY);
    sandbox
}

fn agrees(sandbox: &Sandbox, version: impl Fn(&Happening) -> ApiVersion, what: &str) {
    let events = sandbox.happenings().iter();
    let observations: Vec<_> =
        events.filter_map(|one| observe(&one.render(version(one)))).collect();
    let engine = run(&catalog("sietch"), &observations);
    assert!(engine.waiting.is_empty(), "{what}: {:?}", engine.waiting);
    let facts = engine.facts.values().next().unwrap();
    for truth in sandbox.truth().iter().flat_map(|customer| &customer.subscriptions) {
        let held = facts.subscriptions.values().find(|one| one.id.as_str() == truth.id).unwrap();
        let state = held.state().unwrap();
        assert_eq!(state.status.as_str(), truth.status, "{what}");
        let items: Vec<_> = state
            .items
            .iter()
            .map(|item| (item.price.as_str(), item.quantity, item.period_end))
            .collect();
        assert_eq!(items, expected_items(truth), "{what}");
        let second = |at: Option<i64>| at.map(Timestamp::from_unix_seconds);
        assert_eq!(state.cancel_at, second(truth.cancel_at), "{what}");
        assert_eq!(state.ended_at, second(truth.ended_at), "{what}");
        assert_eq!(state.cancel_at_period_end, truth.cancel_at_period_end, "{what}");
    }
}

fn expected_items(truth: &SubscriptionTruth) -> Vec<(&str, u64, Option<Timestamp>)> {
    let item = |item: &tollgate_sandbox::sandbox::ItemTruth| {
        (u64::from(item.quantity), Some(Timestamp::from_unix_seconds(item.period.1)))
    };
    truth
        .items
        .iter()
        .map(|one| {
            let (quantity, end) = item(one);
            (one.price.as_str(), quantity, end)
        })
        .collect()
}

#[test]
fn the_engine_comes_to_the_sandboxs_truth_in_every_version() {
    let mut ended = std::collections::BTreeSet::new();
    for seed in 0..32 {
        let sandbox = lived(seed);
        let version = ApiVersion::ALL[usize::try_from(seed).unwrap() % ApiVersion::ALL.len()];
        agrees(&sandbox, |_| version, &format!("seed {seed} in {version}"));
        let mixed = |one: &Happening| {
            let sum: usize = one.id().bytes().map(usize::from).sum();
            ApiVersion::ALL[sum % ApiVersion::ALL.len()]
        };
        agrees(&sandbox, mixed, &format!("seed {seed} in mixed versions"));
        let truth = sandbox.truth();
        ended.extend(truth[0].subscriptions.iter().map(|one| one.status));
    }
    // The lives are of many kinds, or this shows little.
    assert!(ended.contains("active") && ended.contains("canceled"), "{ended:?}");
    assert!(ended.len() >= 3, "{ended:?}");
}
