//! Stripe's own pages. Owns: why one cannot be shown or acted on, and the cards people use there.
//! Must not know: what is on them.

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
