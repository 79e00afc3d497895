//! How catalog and Stripe compare, as tables and JSON. Owns: reading both sides for a command, and
//! showing them. Must not know: what is done about it.

use anyhow::Context as _;
use serde_json::{Value, json};
use tollgate_domain::catalog::push::{Agenda, Obstacle, Standing, Step};
use tollgate_domain::catalog::stock::Stock;
use tollgate_stripe::StripeClient;
use tollgate_stripe::shop::{PortalWish, fetch_stock};

use super::super::context::Context;
use super::super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, one_line, styled, table};
use super::show::money_text;
use crate::catalog_sync::{PortalStanding, in_words, look_at_portal, portal_wish};
use crate::config::Config;

/// Most products of others that are listed.
const FOREIGN_SHOWN: usize = 20;

/// Both sides.
pub(super) struct Sides {
    pub(super) config: Config,
    pub(super) client: StripeClient,
    pub(super) stock: Stock,
}

impl Sides {
    /// Reads the configuration and what is for sale.
    pub(super) async fn read(context: &Context) -> anyhow::Result<Self> {
        let config = context.load()?.config;
        let client = context.stripe(&config).await?;
        let stock = fetch_stock(&client).await.context("what is for sale cannot be read")?;
        Ok(Self { config, client, stock })
    }

    /// What customers are to be able to do, and how that stands.
    pub(super) async fn portal(&self) -> anyhow::Result<(PortalWish, PortalStanding)> {
        let url = self.config.stripe.portal_return_url.as_deref();
        let wish = portal_wish(&self.config.catalog, &self.stock, url);
        let standing = look_at_portal(&self.client, &wish)
            .await
            .context("the portal's configurations cannot be read")?;
        Ok((wish, standing))
    }
}

/// The comparison for programs.
pub(super) fn value(agenda: &Agenda<'_>, stock: &Stock, portal: &PortalStanding) -> Value {
    let offers = agenda.offers.iter().map(|(offer, standing)| {
        let (state, price) = match standing {
            Standing::Sold(price) => ("sold", Some(price.to_string())),
            Standing::Adopted(price) => ("adopted", Some(price.to_string())),
            Standing::Missing => ("missing", None),
            Standing::Blocked(_) => ("blocked", None),
        };
        json!({
            "sells": offer.key,
            "interval": offer.interval.word(),
            "amountCents": offer.money.amount_minor,
            "currency": offer.money.currency.as_str(),
            "lookupKey": offer.lookup_key,
            "state": state,
            "price": price,
            "obstacle": obstacle(standing),
        })
    });
    json!({
        "settled": agenda.is_settled() && matches!(portal, PortalStanding::Right(_)),
        "offers": offers.collect::<Vec<_>>(),
        "steps": agenda.steps.iter().map(in_words).collect::<Vec<_>>(),
        "surplus": agenda.surplus.iter().map(in_words).collect::<Vec<_>>(),
        "unknownPrices": agenda.unknown_prices,
        "unknownProducts": agenda.unknown_products,
        "portal": portal_word(portal),
        "foreignProducts": foreign(stock).map(|product| product.id.as_str()).collect::<Vec<_>>(),
    })
}

const fn portal_word(portal: &PortalStanding) -> &'static str {
    match portal {
        PortalStanding::Right(_) => "right",
        PortalStanding::Differs(_) => "differs",
        PortalStanding::Missing => "missing",
    }
}

fn foreign(stock: &Stock) -> impl Iterator<Item = &tollgate_domain::catalog::stock::StockProduct> {
    stock.products.iter().filter(|product| product.mark.is_none() && product.active)
}

fn obstacle(standing: &Standing) -> Option<String> {
    let Standing::Blocked(obstacle) = standing else { return None };
    Some(match obstacle {
        Obstacle::NoLookupKey => {
            "the catalog has no lookup key for it; add one to lookup_keys".to_owned()
        }
        Obstacle::KeyTaken { price } => format!(
            "{price}, which we did not make, has the lookup key and asks for something else or is \
             withdrawn; change it in Stripe, or choose another lookup key"
        ),
        Obstacle::ProductTaken { id } => {
            format!("the product {id} is there and we did not make it; rename the catalog's file")
        }
    })
}

/// The comparison for people.
pub(super) fn report(agenda: &Agenda<'_>, stock: &Stock, portal: &PortalStanding) -> String {
    let rows = agenda.offers.iter().map(|(offer, standing)| {
        let state = match standing {
            Standing::Sold(price) => format!("{} {price}", styled(GOOD, "sold   ")),
            Standing::Adopted(price) => {
                format!("{} {price} {}", styled(GOOD, "adopted"), styled(FAINT, "not ours"))
            }
            Standing::Missing => styled(NOTICE, "missing"),
            Standing::Blocked(_) => {
                let why = obstacle(standing).unwrap_or_default();
                format!("{} {why}", styled(BAD, "blocked"))
            }
        };
        vec![
            offer.key.to_owned(),
            offer.interval.word().to_owned(),
            money_text(offer.money),
            offer.lookup_key.unwrap_or_default().to_owned(),
            state,
        ]
    });
    let heading = ["sells", "interval", "price", "lookup key", "in stripe"];
    let mut parts = vec![table(&heading, rows.collect())];
    parts.extend(list(&styled(STRONG, "to be done"), &agenda.steps));
    let hint = "ours, and in the catalog no more (plan push --prune withdraws them)";
    parts.extend(list(&styled(NOTICE, hint), &agenda.surplus));
    let unknown: Vec<&str> =
        agenda.unknown_prices.iter().chain(&agenda.unknown_products).map(String::as_str).collect();
    if !unknown.is_empty() {
        let heading = styled(NOTICE, "named in the catalog, and not in this account");
        parts.push(format!("{heading}\n  {}", unknown.join(", ")));
    }
    parts.push(match portal {
        PortalStanding::Right(id) => format!("portal  {} {id}", styled(GOOD, "as it should be")),
        PortalStanding::Differs(id) => format!("portal  {} {id}", styled(NOTICE, "differs")),
        PortalStanding::Missing => format!("portal  {}", styled(NOTICE, "missing")),
    });
    let others: Vec<String> = foreign(stock)
        .take(FOREIGN_SHOWN)
        .map(|product| format!("  {} {}", product.id, one_line(&product.name)))
        .collect();
    if !others.is_empty() {
        let more = foreign(stock).count().saturating_sub(FOREIGN_SHOWN);
        let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
        let heading = styled(FAINT, "products of others, left as they are");
        parts.push(format!("{heading}\n{}{more}", others.join("\n")));
    }
    parts.join("\n\n")
}

fn list(heading: &str, steps: &[Step]) -> Option<String> {
    let lines: Vec<String> =
        steps.iter().map(|step| format!("  {}", one_line(&in_words(step)))).collect();
    (!lines.is_empty()).then(|| format!("{heading}\n{}", lines.join("\n")))
}
