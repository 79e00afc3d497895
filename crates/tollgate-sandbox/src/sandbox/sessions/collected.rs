//! What the payment page collects besides the payment. Owns: those parameters and what is wrong with
//! them. Must not know: what is bought.

use super::super::error::ApiError;
use super::super::params::Params;
use crate::object::customer::Customer;
use crate::object::session::Collected;

/// The languages of the page.
const LOCALES: [&str; 42] = [
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr",
    "fr-CA", "hi-IN", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl",
    "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];
/// Most units a customer can choose, and the default of it.
const UNITS_MAX: (i64, i64) = (999_999, 99);

/// What is collected for a customer, or for whoever comes.
pub(super) fn collected(
    customer: Option<&Customer>,
    params: &Params,
) -> Result<Collected, ApiError> {
    let enabled = |name: &str| match params.get(name) {
        Some(of) => Ok(of.boolean("enabled")?.unwrap_or(false)),
        None => Ok::<bool, ApiError>(false),
    };
    let update = params.get("customer_update");
    if update.is_some() && customer.is_none() {
        let message = "`customer_update` can only be used with `customer`.";
        return Err(ApiError::invalid(message).param("customer_update"));
    }
    let keeps = |what: &str| match update {
        Some(update) => Ok(update.choice(what, &["auto", "never"])? == Some("auto")),
        None => Ok::<bool, ApiError>(false),
    };
    let (address, name, shipping) = (keeps("address")?, keeps("name")?, keeps("shipping")?);
    let automatic_tax = enabled("automatic_tax")?;
    // No customer of the sandbox has an address before somebody enters one.
    if automatic_tax && customer.is_some() && !address && !shipping {
        let message = "Automatic tax calculation in Checkout requires a valid address on the \
                       Customer. Add a valid address to the Customer or set either \
                       `customer_update[address]` to 'auto' or `customer_update[shipping]` to \
                       'auto' to save the address entered in Checkout to the Customer.";
        return Err(ApiError::invalid(message).code("customer_tax_location_invalid"));
    }
    let tax_ids = enabled("tax_id_collection")?;
    if tax_ids && customer.is_some() && !name {
        let message = "Tax ID collection requires updating business name on the customer. To \
                       enable tax ID collection for an existing customer, please set \
                       `customer_update[name]` to `auto`.";
        return Err(ApiError::invalid(message).param("tax_id_collection"));
    }
    let consent = params.get("consent_collection");
    let agreed = |what: &str, words: &[&'static str]| match consent {
        Some(consent) => consent.choice(what, words),
        None => Ok(None),
    };
    Ok(Collected {
        automatic_tax,
        tax_ids: params.has("tax_id_collection").then_some(tax_ids),
        consent: consent.is_some(),
        terms_of_service: agreed("terms_of_service", &["none", "required"])?,
        promotions: agreed("promotions", &["auto", "none"])?,
    })
}

/// The least and the most units of a line.
pub(super) fn adjustable(quantity: u32, line: &Params) -> Result<Option<(i64, i64)>, ApiError> {
    let Some(params) = line.get("adjustable_quantity") else { return Ok(None) };
    let (least, most) = (
        params.integer("minimum")?.unwrap_or(0),
        params.integer("maximum")?.unwrap_or(UNITS_MAX.1),
    );
    if !params.boolean("enabled")?.unwrap_or(false) {
        return Ok(None);
    }
    let within = |at: i64| (least..=most).contains(&at);
    if least < 0 || most > UNITS_MAX.0 || !within(i64::from(quantity)) {
        let message = format!(
            "The quantity must be between the minimum ({least}) and the maximum ({most}) of \
             `adjustable_quantity`, and these between 0 and {}.",
            UNITS_MAX.0
        );
        return Err(ApiError::invalid(message).param(line.path_of("adjustable_quantity")));
    }
    Ok(Some((least, most)))
}

/// The language asked for.
pub(super) fn locale(params: &Params) -> Result<Option<String>, ApiError> {
    Ok(params.choice("locale", &LOCALES)?.map(str::to_owned))
}
