//! Hostile calls: every route with any of its parameters at any of many values. Owns: nothing else.
//! Must not know: what the routes are for.

use super::super::{route, shape};
use super::*;

/// Values that are wrong nearly everywhere, and some that are right somewhere.
const VALUES: [&str; 30] = [
    "",
    "0",
    "1",
    "-1",
    "3",
    "999999",
    "9223372036854775807",
    "-9223372036854775808",
    "1e9",
    "true",
    "false",
    "now",
    "x",
    "é\u{202e}\0",
    "usd",
    "jpy",
    "month",
    "day",
    "card",
    "none",
    "always_invoice",
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "tok_visa",
    "https://a.example/",
    "error_if_incomplete",
    "pending_if_incomplete",
    "subscription",
    "payment",
];

/// Forms that make something, so that there is something to be hostile to.
const SENSIBLE: [(&str, &str); 3] = [
    (
        "POST /v1/customers",
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    ),
    (
        "POST /v1/payment_intents",
        "amount=100&currency=usd&payment_method=pm_card_visa&confirm=true",
    ),
    ("POST /v1/setup_intents", "payment_method=pm_card_visa"),
];

/// What the ids begin with that a path or a parameter of a name wants.
const PREFIXES: [(&str, &str); 19] = [
    ("customer", "cus_"),
    ("subscription", "sub_1"),
    ("from_subscription", "sub_1"),
    ("invoice", "in_"),
    ("item", "si_"),
    ("id", "si_"),
    ("price", "price_"),
    ("default_price", "price_"),
    ("product", "prod_"),
    ("intent", "pi_"),
    ("payment_intent", "pi_"),
    ("session", "cs_"),
    ("refund", "re_"),
    ("charge", "ch_"),
    ("dispute", "dp_"),
    ("schedule", "sub_sched_"),
    ("method", "pm_"),
    ("payment_method", "pm_"),
    ("default_payment_method", "pm_"),
];

struct Attacker {
    sandbox: Sandbox,
    random: fastrand::Rng,
    ids: std::collections::BTreeSet<String>,
    taken: usize,
}

impl Attacker {
    fn new(seed: u64) -> Self {
        let mut this = Self {
            sandbox: sandbox(),
            random: fastrand::Rng::with_seed(seed),
            ids: std::collections::BTreeSet::new(),
            taken: 0,
        };
        for (line, form) in SENSIBLE {
            this.call(line, form);
        }
        let customer = this.id("cus_");
        let prices = ok(&mut this.sandbox, "GET /v1/prices", "limit=100");
        this.ids.extend(ids(&prices));
        for price in ids(&prices) {
            this.call(
                "POST /v1/subscriptions",
                &format!("customer={customer}&items[0][price]={price}"),
            );
        }
        this
    }

    fn call(&mut self, line: &str, form: &str) {
        let before = (self.sandbox.happenings().len(), self.sandbox.now());
        let reply = self.sandbox.call(&request(line, form));
        let known = [200, 400, 402, 403, 404];
        assert!(known.contains(&reply.status), "{line} {form}: {:#}", reply.body);
        if reply.status != 200 && reply.status != 402 {
            let after = (self.sandbox.happenings().len(), self.sandbox.now());
            assert_eq!(before, after, "{line} {form} was refused and acted: {:#}", reply.body);
        }
        if reply.status == 200 {
            self.taken += 1;
        }
        let told = self.sandbox.happenings()[before.0..].iter();
        let made = told.filter_map(|told| told.object.place().map(|(_, id)| id.to_owned()));
        self.ids.extend(made);
        if reply.status == 200 && line.starts_with("POST") {
            self.ids.extend(reply.body["id"].as_str().map(str::to_owned));
        }
    }

    /// An id with a beginning; any, where there is none.
    fn id(&mut self, prefix: &str) -> String {
        let fitting: Vec<&String> = self.ids.iter().filter(|id| id.starts_with(prefix)).collect();
        let all: Vec<&String> = self.ids.iter().collect();
        let choice = if fitting.is_empty() { all } else { fitting };
        choice
            .get(self.random.usize(..choice.len().max(1)))
            .map_or_else(String::new, |id| (*id).clone())
    }

    /// A value for a parameter, mostly of the kind that it wants.
    fn value(&mut self, name: &str) -> String {
        let last = name.rsplit('[').next().unwrap_or(name).trim_end_matches(']');
        let prefix = PREFIXES.iter().find(|(known, _)| *known == last);
        match (prefix, self.random.u8(..8)) {
            (Some((_, prefix)), 1..) => self.id(prefix),
            (None, 0..3) => {
                (self.sandbox.now() + self.random.i64(-100_000..10_000_000)).to_string()
            }
            (_, 0) => self.id(""),
            (None, _) => VALUES[self.random.usize(..VALUES.len())].to_owned(),
        }
    }

    fn attack(&mut self, method: Method, path: &str, accepts: &str) {
        let mut parts = Vec::new();
        for part in path.split('/') {
            let name = part.trim_matches(['{', '}']);
            let prefix =
                PREFIXES.iter().find(|(known, _)| *known == name).map(|(_, prefix)| prefix);
            parts.push(match (part == name, prefix) {
                (true, _) => part.to_owned(),
                (false, Some(prefix)) => self.id(prefix),
                (false, None) => self.id(""),
            });
        }
        let names = shape::names(accepts);
        let wanted = self.random.usize(..=names.len().min(4));
        let mut chosen = self.random.choose_multiple(names.clone(), wanted);
        // What must be given is, mostly: its name is followed by a mark in the notation.
        let needed =
            names.into_iter().filter(|name| accepts.contains(&format!("{}!", plain(name))));
        chosen.extend(needed.filter(|_| self.random.u8(..10) > 0));
        chosen.sort();
        chosen.dedup();
        let pairs: Vec<(String, String)> = chosen
            .into_iter()
            .map(|name| {
                let value = self.value(&name);
                (name, value)
            })
            .collect();
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.call(&format!("{} {}", method.as_str(), parts.join("/")), &form);
    }
}

/// The last name in a whole name.
fn plain(name: &str) -> &str {
    name.rsplit('[').next().unwrap_or(name).trim_end_matches(']')
}

#[test]
fn no_call_breaks_anything_and_what_is_refused_does_nothing() {
    for seed in 0..6 {
        let mut attacker = Attacker::new(seed);
        for round in 0..12 {
            for (method, path, accepts) in route::table() {
                // Test clocks may go anywhere; what they do is shown elsewhere.
                if !path.contains("test_clocks") {
                    attacker.attack(method, path, accepts);
                }
            }
            let day = attacker.sandbox.now() + 86_400 * round;
            attacker.sandbox.advance_to(day);
            assert!(attacker.sandbox.next_due().is_none_or(|due| due > day), "{round}");
        }
        assert!(attacker.taken > 300, "nearly everything was refused: {}", attacker.taken);
    }
}
