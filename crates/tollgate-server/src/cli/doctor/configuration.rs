//! What the configuration says. Owns: files, secrets and prices as they are set. Must not know: any
//! server.

use tollgate_domain::catalog::{PlanIndex, PriceTarget};

use super::super::context::Context;
use super::super::dev_state::FILE;
use super::{Finding, fault, fine, notice};
use crate::config::load::open_to_others;
use crate::config::{Config, Loaded, secret};

pub(super) fn look_at_files(context: &Context) -> Vec<Finding> {
    let private = [".env", FILE];
    let open = private.iter().filter_map(|name| {
        let mode = open_to_others(&context.path(name))?;
        Some(notice(
            "files",
            format!("{name} holds secrets and is readable by others (mode {mode:03o})"),
            format!("chmod 600 {name}"),
        ))
    });
    open.collect()
}

pub(super) fn look_at_config(loaded: &Loaded) -> Vec<Finding> {
    let mut findings = vec![fine("configuration", "no fault")];
    let warnings = loaded
        .warnings
        .iter()
        .filter(|one| !one.setting.is_empty() || one.origin.to_string() != ".env");
    findings.extend(warnings.map(|one| {
        notice(
            "configuration",
            format!("{}: {}", one.origin, one.trouble.what),
            one.trouble.mend.clone(),
        )
    }));
    findings
}

pub(super) fn look_at_secrets(context: &Context, config: &Config) -> Vec<Finding> {
    let dev = context.dev_state().ok().flatten();
    let in_dev = dev.is_some_and(|dev| dev.database_url == config.database_url.expose());
    if config.webhook_secrets.is_empty() && in_dev {
        return vec![fine("secrets", "the one `tollgate dev` made")];
    }
    if config.webhook_secrets.is_empty() {
        return vec![notice(
            "secrets",
            "no webhook signing secret is set: webhooks are answered with 503",
            "set STRIPE_WEBHOOK_SECRET to the endpoint's signing secret (whsec_…)",
        )];
    }
    let mut findings = Vec::new();
    for one in &config.webhook_secrets {
        let text = one.secret.expose();
        let masked = secret::mask(text);
        if text.starts_with("whsec_") && text.contains(['+', '/', '=']) {
            findings.push(fault(
                "secrets",
                format!("the webhook secret {masked} is base64, as Standard Webhooks has it; Stripe's are not, so no signature of Stripe will match"),
                "copy the signing secret of the endpoint from Stripe's dashboard, Webhooks",
            ));
        }
        if text.contains(char::is_whitespace) {
            findings.push(fault(
                "secrets",
                format!("the webhook secret {masked} holds white space inside"),
                "separate several secrets by commas",
            ));
        }
    }
    if findings.is_empty() {
        findings.push(fine(
            "secrets",
            format!("{} webhook signing secret(s)", config.webhook_secrets.len()),
        ));
    }
    findings
}

pub(super) fn look_at_prices(config: &Config) -> Vec<Finding> {
    let catalog = &config.catalog;
    let plans = catalog.plans.iter().enumerate().filter(|(_, plan)| !plan.prices.is_empty());
    let mut without: Vec<&str> = plans
        .filter(|(index, _)| !catalog.sells(PriceTarget::Plan(PlanIndex(*index))))
        .map(|(_, plan)| plan.id.as_str())
        .collect();
    if catalog.badge.is_some() && !catalog.sells(PriceTarget::Badge) {
        without.push("badge");
    }
    if catalog.boost.is_some() && !catalog.sells(PriceTarget::Boost) {
        without.push("boost");
    }
    if without.is_empty() {
        return vec![fine(
            "prices",
            format!(
                "everything that is sold has a Stripe price or product ({})",
                catalog.prices.len() + catalog.products.len()
            ),
        )];
    }
    vec![notice(
        "prices",
        format!("no Stripe price is mapped to {}: buying them gives nothing", without.join(", ")),
        "set STRIPE_PRODUCT_PRICE_MAP, or prices or products in the catalog",
    )]
}
