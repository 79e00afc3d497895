//! What accounts do at Stripe and ask of us.

use serde_json::Value;
use tollgate_domain::buying::TimingWish;
use tollgate_domain::ids::AccountId;
use tollgate_sandbox::ApiVersion;
use tollgate_sandbox::sandbox::{Card, CheckoutOutcome, DisputeMove, Method, Sandbox};
use tollgate_server::billing::subscription::PlanChange;

use super::life::World;
use super::market::PLANS;

impl World {
    /// Somebody does something; what Stripe refuses is no deed.
    pub(super) async fn act(&mut self, who: usize) {
        let done = match self.rng.u8(0..120) {
            100..104 => self.subscribe_elsewhere(who),
            104..112 => self.ask_us(who).await,
            0..28 => self.buy(who),
            28..40 => self.buy_badge(who),
            112..120 => self.buy_grant(who),
            40..50 => self.change(who),
            50..57 => self.cancel_later(who),
            57..60 => self.cancel_now(who),
            60..68 => self.change_card(who),
            68..76 => self.refund(who),
            76..86 => self.dispute(who),
            86..90 => self.pause_collection(who),
            90..93 => self.pause(who),
            93..96 => self.write(who),
            _ => self.settle(),
        };
        if let Some(what) = done {
            self.deeds.did(what);
        }
    }

    /// Somebody subscribes to another product; nothing of it names us.
    fn subscribe_elsewhere(&mut self, who: usize) -> Option<&'static str> {
        if self.accounts[who].others.len() >= 2 {
            return None;
        }
        let (customer, price) = (self.accounts[who].customer.clone(), self.other_price.clone());
        let session = self.made(
            "/v1/checkout/sessions",
            &[
                ("mode", "subscription"),
                ("customer", customer.as_str()),
                ("line_items[0][price]", price.as_str()),
                ("line_items[0][quantity]", "1"),
                ("success_url", "https://letters.example.org/done"),
            ],
        )?;
        let paid = |stripe: &mut Sandbox| stripe.complete_checkout(&session, CheckoutOutcome::Pay);
        self.stripe.with(paid).ok()?;
        let done = self.call(Method::Get, &format!("/v1/checkout/sessions/{session}"), &[])?;
        self.accounts[who].others.extend(done["subscription"].as_str().map(str::to_owned));
        Some("subscribed elsewhere")
    }

    /// The application asks us to change a subscription; what we refuse is no deed.
    async fn ask_us(&mut self, who: usize) -> Option<&'static str> {
        let account = AccountId::parse(&self.accounts[who].name).expect("an id");
        let twins = self.accounts[who].twin.map(|twin| self.shown_subscriptions(twin));
        let app = self.app.app();
        let done = match self.rng.u8(0..4) {
            0 | 1 => {
                let plan = PLANS[self.rng.usize(0..PLANS.len())];
                let change = PlanChange {
                    account: &account,
                    plan: self.market.era.name_of(plan),
                    interval: None,
                    quantity: None,
                    timing: TimingWish::Immediate,
                };
                app.change_plan(change).await.map(|_| ())
            }
            2 => app.cancel(&account, self.rng.bool()).await,
            _ => app.resume(&account).await,
        };
        assert!(done.is_err() || !self.wrong_key, "nothing is changed with a wrong key");
        done.ok()?;
        let Some(twin) = self.accounts[who].twin else { return Some("changed by us") };
        if twins != Some(self.shown_subscriptions(twin)) {
            self.mixed_up.push(format!("{account} changed what {twin} has"));
        }
        Some("changed by us for one of two accounts")
    }

    /// What Stripe shows of the subscriptions of an account.
    fn shown_subscriptions(&self, who: usize) -> Vec<Option<Value>> {
        let paths = self.accounts[who].subscriptions.iter().chain(&self.accounts[who].others);
        let paths = paths.map(|id| format!("/v1/subscriptions/{id}"));
        paths.map(|path| self.call(Method::Get, &path, &[])).collect()
    }

    /// What we did to objects of another product, in words; empty.
    pub(super) fn trespasses(&self) -> Vec<String> {
        let others: Vec<&String> = self.accounts.iter().flat_map(|one| &one.others).collect();
        let mut found = self.mixed_up.clone();
        for id in &others {
            let path = format!("/v1/subscriptions/{id}");
            let shown = self.call(Method::Get, &path, &[]).expect("it is there");
            let ended = &shown["cancellation_details"]["reason"];
            let row = &shown["metadata"]["tollgate_row"];
            if *ended == "cancellation_requested" || !row.is_null() {
                found.push(format!("{id}: {shown}"));
            }
        }
        let happenings = self.stripe.with(|stripe| stripe.happenings().to_vec());
        for event in &happenings {
            let body: Value =
                serde_json::from_str(&event.render(ApiVersion::default()).body).expect("JSON");
            let key = body["request"]["idempotency_key"].as_str().unwrap_or_default();
            let object = body["data"]["object"]["id"].as_str().unwrap_or_default();
            if key.starts_with("tollgate-") && others.iter().any(|id| *id == object) {
                found.push(format!("{}: {key}", event.kind()));
            }
        }
        found
    }

    fn pick<'a>(&mut self, from: &'a [String]) -> Option<&'a String> {
        if from.is_empty() { None } else { from.get(self.rng.usize(0..from.len())) }
    }

    fn subscription(&mut self, who: usize) -> Option<String> {
        let all = self.accounts[who].subscriptions.clone();
        self.pick(&all).cloned()
    }

    fn intent(&mut self, who: usize) -> Option<String> {
        let all = self.accounts[who].intents.clone();
        self.pick(&all).cloned()
    }

    fn buy(&mut self, who: usize) -> Option<&'static str> {
        // Mostly once; some open two pages.
        if !self.accounts[who].subscriptions.is_empty() && self.rng.u8(0..100) < 85 {
            return None;
        }
        let plan = PLANS[self.rng.usize(0..PLANS.len())];
        let price = self.market.monthly(plan);
        let (name, customer) =
            (self.accounts[who].name.clone(), self.accounts[who].customer.clone());
        let trial = self.rng.bool();
        let mut pairs = vec![
            ("mode", "subscription"),
            ("customer", customer.as_str()),
            ("line_items[0][price]", price.as_str()),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", name.as_str()),
            ("subscription_data[metadata][account_id]", name.as_str()),
        ];
        if trial {
            pairs.push(("subscription_data[trial_period_days]", "7"));
        }
        let session = self.made("/v1/checkout/sessions", &pairs)?;
        self.finish(who, &session, CheckoutOutcome::Pay)?;
        for subscription in &self.accounts[who].subscriptions {
            self.sold.subscribed(subscription, plan);
        }
        let twin = self.accounts[who].twin;
        if twin.is_some_and(|twin| !self.accounts[twin].subscriptions.is_empty()) {
            self.deeds.did("subscribed for the second of two accounts");
        }
        Some(if trial { "tried" } else { "subscribed" })
    }

    fn buy_badge(&mut self, who: usize) -> Option<&'static str> {
        let price = self.market.badge();
        let done = self.buy_once(who, &price, &[("metadata[type]", "badge_purchase")])?;
        Some(if done == CheckoutOutcome::Pay { "bought" } else { "bought, paid later" })
    }

    /// A plan for a while.
    fn buy_grant(&mut self, who: usize) -> Option<&'static str> {
        let price = self.market.grant();
        let plan = self.market.era.name_of("premium");
        let told = [("metadata[type]", "grant"), ("metadata[plan]", plan)];
        let done = self.buy_once(who, &price, &told)?;
        Some(if done == CheckoutOutcome::Pay { "bought a plan" } else { "bought, paid later" })
    }

    fn buy_once(
        &mut self,
        who: usize,
        price: &str,
        told: &[(&str, &str)],
    ) -> Option<CheckoutOutcome> {
        let (name, customer) =
            (self.accounts[who].name.clone(), self.accounts[who].customer.clone());
        let mut pairs = vec![
            ("mode", "payment"),
            ("customer", customer.as_str()),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.example.org/done"),
            ("metadata[account_id]", name.as_str()),
            ("payment_intent_data[metadata][account_id]", name.as_str()),
        ];
        pairs.extend(told);
        let session = self.made("/v1/checkout/sessions", &pairs)?;
        let how = match self.rng.u8(0..4) {
            0 => CheckoutOutcome::PayLater,
            // Looked at and left alone.
            1 => return None,
            _ => CheckoutOutcome::Pay,
        };
        self.finish(who, &session, how)?;
        self.sold.bought(&session, price);
        if how == CheckoutOutcome::PayLater {
            self.accounts[who].unsettled.push(session);
        }
        Some(how)
    }

    fn finish(&mut self, who: usize, session: &str, how: CheckoutOutcome) -> Option<()> {
        self.stripe.with(|stripe| stripe.complete_checkout(session, how)).ok()?;
        let path = format!("/v1/checkout/sessions/{session}");
        let done = self.call(Method::Get, &path, &[])?;
        let account = &mut self.accounts[who];
        account.subscriptions.extend(done["subscription"].as_str().map(str::to_owned));
        account.intents.extend(done["payment_intent"].as_str().map(str::to_owned));
        Some(())
    }

    fn change(&mut self, who: usize) -> Option<&'static str> {
        let id = self.subscription(who)?;
        let path = format!("/v1/subscriptions/{id}");
        let now = self.call(Method::Get, &path, &[])?;
        let item = now["items"]["data"][0]["id"].as_str()?.to_owned();
        let plan = PLANS[self.rng.usize(0..PLANS.len())];
        self.sold.subscribed(&id, plan);
        let price = self.market.monthly(plan);
        let billed = ["create_prorations", "always_invoice", "none"][self.rng.usize(0..3)];
        self.call(
            Method::Post,
            &path,
            &[
                ("items[0][id]", item.as_str()),
                ("items[0][price]", price.as_str()),
                ("proration_behavior", billed),
            ],
        )?;
        Some("changed")
    }

    fn cancel_later(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        let later = if self.rng.u8(0..3) == 0 { "false" } else { "true" };
        self.call(Method::Post, &path, &[("cancel_at_period_end", later)])?;
        Some("cancelled later")
    }

    fn cancel_now(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        self.call(Method::Delete, &path, &[])?;
        Some("cancelled")
    }

    fn change_card(&mut self, who: usize) -> Option<&'static str> {
        let card = if self.rng.u8(0..3) == 0 { Card::Good } else { Card::Declined };
        let customer = self.accounts[who].customer.clone();
        self.stripe.with(|stripe| stripe.set_card(&customer, card)).ok()?;
        Some("changed the card")
    }

    fn refund(&mut self, who: usize) -> Option<&'static str> {
        let intent = self.intent(who)?;
        let part = self.rng.bool();
        let mut pairs = vec![("payment_intent", intent.as_str())];
        if part {
            pairs.push(("amount", "100"));
        }
        self.made("/v1/refunds", &pairs)?;
        Some("was refunded")
    }

    fn dispute(&mut self, who: usize) -> Option<&'static str> {
        let intent = self.intent(who)?;
        let paid = self.call(Method::Get, &format!("/v1/payment_intents/{intent}"), &[])?;
        let charge = paid["latest_charge"].as_str()?.to_owned();
        let moves = [DisputeMove::Open, DisputeMove::Open, DisputeMove::Won, DisputeMove::Lost];
        let what = moves[self.rng.usize(0..moves.len())];
        self.stripe.with(|stripe| stripe.dispute(&charge, what)).ok()?;
        Some("disputed")
    }

    fn pause_collection(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        if self.rng.bool() {
            self.call(Method::Post, &path, &[("pause_collection[behavior]", "void")])?;
        } else {
            self.call(Method::Post, &path, &[("pause_collection", "")])?;
        }
        Some("paused collection")
    }

    fn pause(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/subscriptions/{}", self.subscription(who)?);
        let now = self.call(Method::Get, &path, &[])?;
        let paused = now["status"] == "paused";
        let path = format!("{path}/{}", if paused { "resume" } else { "pause" });
        self.call(Method::Post, &path, if paused { &[] } else { &[("type", "subscription")] })?;
        Some("paused")
    }

    fn write(&mut self, who: usize) -> Option<&'static str> {
        let path = format!("/v1/customers/{}", self.accounts[who].customer);
        let email = format!("billing{}@example.org", self.rng.u32(..));
        self.call(Method::Post, &path, &[("email", email.as_str())])?;
        Some("moved")
    }

    /// Money that was on its way comes, or does not.
    fn settle(&mut self) -> Option<&'static str> {
        let session = self.accounts.iter_mut().find_map(|one| one.unsettled.pop())?;
        let comes = self.rng.u8(0..3) > 0;
        self.stripe.with(|stripe| stripe.settle_later(&session, comes)).ok()?;
        Some("settled")
    }
}
