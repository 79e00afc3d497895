//! What the payment page asks for and offers. Owns: the terms of a checkout, as the catalog has them
//! (`[checkout]`) and as one purchase changes them. Must not know: how a page is asked for.

use super::parse::KEY_CHARS_MAX;
use super::read::Section;

/// Terms of a checkout. All are off unless they are said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckoutTerms {
    /// Customers can enter promotion codes.
    pub promotion_codes: bool,
    /// Taxes are computed from the customer's address, which the page asks for and keeps.
    pub automatic_tax: bool,
    /// Businesses can enter their tax id and name, which are kept.
    pub tax_ids: bool,
    /// A billing address must be given, also where the payment does not need one.
    pub billing_address: bool,
    /// The terms of service must be agreed to.
    pub terms_of_service: bool,
    /// Customers are asked whether they want to hear of promotions, where the law wants it asked.
    pub promotions: bool,
    /// Customers can change the units on the page, of a plan sold by the unit.
    pub adjustable_quantity: bool,
    /// The language of the page; `None`: the browser's.
    pub locale: Option<Locale>,
}

/// What one purchase says of its terms; what it does not say is as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckoutWish {
    /// See [`CheckoutTerms::promotion_codes`].
    pub promotion_codes: Option<bool>,
    /// See [`CheckoutTerms::automatic_tax`].
    pub automatic_tax: Option<bool>,
    /// See [`CheckoutTerms::tax_ids`].
    pub tax_ids: Option<bool>,
    /// See [`CheckoutTerms::billing_address`].
    pub billing_address: Option<bool>,
    /// See [`CheckoutTerms::terms_of_service`].
    pub terms_of_service: Option<bool>,
    /// See [`CheckoutTerms::promotions`].
    pub promotions: Option<bool>,
    /// See [`CheckoutTerms::adjustable_quantity`].
    pub adjustable_quantity: Option<bool>,
    /// See [`CheckoutTerms::locale`].
    pub locale: Option<Locale>,
}

impl CheckoutTerms {
    /// The terms of one purchase.
    pub fn with(&self, wish: &CheckoutWish) -> Self {
        let or = |wish: Option<bool>, else_: bool| wish.unwrap_or(else_);
        Self {
            promotion_codes: or(wish.promotion_codes, self.promotion_codes),
            automatic_tax: or(wish.automatic_tax, self.automatic_tax),
            tax_ids: or(wish.tax_ids, self.tax_ids),
            billing_address: or(wish.billing_address, self.billing_address),
            terms_of_service: or(wish.terms_of_service, self.terms_of_service),
            promotions: or(wish.promotions, self.promotions),
            adjustable_quantity: or(wish.adjustable_quantity, self.adjustable_quantity),
            locale: wish.locale.clone().or_else(|| self.locale.clone()),
        }
    }

    /// Every flag by its name in the catalog.
    pub(super) fn flags(&mut self) -> [(&'static str, &mut bool); 7] {
        [
            ("promotion_codes", &mut self.promotion_codes),
            ("automatic_tax", &mut self.automatic_tax),
            ("tax_ids", &mut self.tax_ids),
            ("billing_address", &mut self.billing_address),
            ("terms_of_service", &mut self.terms_of_service),
            ("promotions", &mut self.promotions),
            ("adjustable_quantity", &mut self.adjustable_quantity),
        ]
    }

    pub(super) fn read(root: &Section<'_>) -> Self {
        let mut terms = Self::default();
        let Some(section) = root.section("checkout", "[checkout]") else { return terms };
        for (name, flag) in terms.flags() {
            *flag = section.boolean(name).unwrap_or(false);
        }
        if let Some(text) = section.text("locale", KEY_CHARS_MAX) {
            terms.locale = Locale::parse(text.value);
            if terms.locale.is_none() {
                let hint = Some("such as \"auto\", \"de\" or \"pt-BR\"");
                section.fault(text.span, "this is not a language of the payment page", hint);
            }
        }
        section.finish();
        terms
    }
}

/// A language of Stripe's payment page.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Locale(Box<str>);

/// What the payment page speaks.
const LOCALES: [&str; 42] = [
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr",
    "fr-CA", "hi-IN", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl",
    "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];

impl Locale {
    /// Takes a tag such as `de` or `pt-BR`; `None` for one the page does not speak.
    pub fn parse(text: &str) -> Option<Self> {
        LOCALES.iter().find(|known| **known == text).map(|known| Self((*known).into()))
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    const HEAD: &str = "[catalog]\ncurrency = \"usd\"\ndefault_plan = \"free\"\n\
        upgrade_url = \"/up\"\n[features.a]\n[[plans]]\nid = \"free\"\nname = \"Free\"\nrank = 0\n";

    fn terms(text: &str) -> Result<CheckoutTerms, String> {
        let parsed = parse("shop", "shop.toml", &format!("{HEAD}{text}"));
        parsed.map(|catalog| catalog.checkout).map_err(|faults| faults.to_string())
    }

    #[test]
    fn a_catalog_says_what_its_checkouts_ask_for() {
        assert_eq!(terms("").unwrap(), CheckoutTerms::default());
        let said = terms("[checkout]\npromotion_codes = true\ntax_ids = true\nlocale = \"pt-BR\"");
        let said = said.unwrap();
        assert!(said.promotion_codes && said.tax_ids && !said.automatic_tax);
        assert_eq!(said.locale.as_ref().map(Locale::as_str), Some("pt-BR"));
        for (text, told) in [
            ("[checkout]\nlocale = \"xx\"", "not a language"),
            ("[checkout]\npromotion_code = true", "promotion_codes"),
            ("[checkout]\ntax_ids = 1", "must be true or false"),
        ] {
            let faults = terms(text).unwrap_err();
            assert!(faults.contains(told), "{faults}");
        }
        // One purchase says otherwise.
        let wish = CheckoutWish { tax_ids: Some(false), ..CheckoutWish::default() };
        let now = said.with(&wish);
        assert!(now.promotion_codes && !now.tax_ids);
        assert_eq!(now.locale, said.locale);
    }

    #[test]
    fn other_terms_are_another_version() {
        let of = |text: &str| parse("shop", "shop", &format!("{HEAD}{text}")).unwrap().version;
        assert_ne!(of(""), of("[checkout]\nautomatic_tax = true"));
        assert_ne!(of("[checkout]\nlocale = \"de\""), of("[checkout]\nlocale = \"fr\""));
    }
}
