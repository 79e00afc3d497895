//! Stripe's own pages. Owns: why one cannot be shown or acted on, and the cards people use there.
//! Must not know: what is on them.

use super::Sandbox;
use super::error::ApiError;

/// Why a page cannot be shown, or an act on it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// There is no such session, or nothing of that id on its page.
    #[error("There is nothing here: {id:?} is not known.")]
    Unknown {
        /// What was asked for, cut to 80 characters.
        id: String,
    },
    /// It cannot be done.
    #[error("{message}")]
    Refused {
        /// Why, in words for the person on the page.
        message: String,
    },
    /// The payment was declined. The attempt stays.
    #[error("{message}")]
    Declined {
        /// What the bank said.
        message: String,
        /// Whether the attempt left its traces.
        keeps: bool,
    },
}

impl PageError {
    /// Nothing of this id is there.
    pub(super) fn unknown(id: &str) -> Self {
        Self::Unknown { id: id.chars().take(80).collect() }
    }

    /// Whether what was done before the refusal stays.
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Declined { keeps: true, .. })
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        if error.kind == "card_error" {
            Self::Declined { message: error.message.into(), keeps: error.keeps }
        } else {
            Self::Refused { message: error.message.into() }
        }
    }
}

/// A page of Stripe's that people are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Where a checkout session is paid.
    Checkout,
    /// Where a customer changes subscriptions.
    Portal,
}

impl Sandbox {
    /// Stripe's pages are shown at this address from now on: `http://127.0.0.1:8420`.
    pub fn set_pages_base(&mut self, base: &str) {
        self.pages_base = Some(base.trim_end_matches('/').to_owned());
    }

    /// Where a page of a session is: at the sandbox's own address, once it has one.
    pub(crate) fn page_url(&self, page: Page, session: &str) -> String {
        let (stripe, path) = match page {
            Page::Checkout => ("https://checkout.stripe.com", "/c/pay/"),
            Page::Portal => ("https://billing.stripe.com", "/p/session/"),
        };
        format!("{}{path}{session}", self.pages_base.as_deref().unwrap_or(stripe))
    }
}
