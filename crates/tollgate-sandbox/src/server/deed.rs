//! What can be done to the account. Owns: each deed in a form that can be kept and done again. Must
//! not know: who asks for it and over which route.

use serde::{Deserialize, Serialize};
use tollgate_domain::{Catalog, Timestamp};

use super::story::{Story, StoryError};
use crate::demo;
use crate::sandbox::{ApiReply, ApiRequest, Method, Params, Sandbox};
use crate::version::ApiVersion;

/// A deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Deed {
    /// A request of the API that may change something.
    Call(KeptCall),
    /// A story becomes part of the account.
    Tell {
        /// Which one.
        story: Story,
    },
    /// The stories of the demonstration become part of the account.
    Demo,
    /// An event was told a second time under an id of its own.
    Twin {
        /// The first one's id.
        event: String,
    },
    /// The clock was moved.
    Clock,
}

/// A request as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptCall {
    method: String,
    path: String,
    params: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl KeptCall {
    /// A request, with its parameters as they were written.
    pub(crate) fn of(request: &ApiRequest, params: &str) -> Self {
        Self {
            method: request.method.as_str().to_owned(),
            path: request.path.clone(),
            params: params.to_owned(),
            version: request.version.map(|version| version.as_str().to_owned()),
            key: request.idempotency_key.clone(),
        }
    }

    fn request(&self) -> Option<ApiRequest> {
        let method = match self.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => return None,
        };
        Some(ApiRequest {
            method,
            path: self.path.clone(),
            params: Params::from_form(&self.params).ok()?,
            version: self.version.as_deref().and_then(|text| ApiVersion::parse(text).ok()),
            idempotency_key: self.key.clone(),
        })
    }
}

/// What came of a deed.
#[derive(Debug)]
pub(crate) enum Done {
    /// The answer to a request.
    Reply(ApiReply),
    /// The ids of the events that were told.
    Told(Vec<String>),
    /// Nothing to tell.
    Quiet,
}

/// Why a deed was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeedError {
    /// The story cannot be told.
    #[error(transparent)]
    Story(#[from] StoryError),
    /// The request that was kept is none.
    #[error("a request cannot be read")]
    Unreadable,
}

impl Deed {
    /// Does it, at a time.
    pub(crate) fn perform(
        &self,
        sandbox: &mut Sandbox,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Done, DeedError> {
        match self {
            Self::Call(kept) => {
                let request = kept.request().ok_or(DeedError::Unreadable)?;
                Ok(Done::Reply(sandbox.call(&request)))
            }
            Self::Tell { story } => {
                let happenings = story.happenings(catalog, now)?;
                let ids = happenings.iter().map(|one| one.id().to_owned()).collect();
                sandbox.adopt(happenings);
                Ok(Done::Told(ids))
            }
            Self::Demo => {
                let accounts = demo::accounts(catalog, now).map_err(StoryError::from)?;
                let all: Vec<_> = accounts.into_iter().flat_map(|one| one.happenings).collect();
                let ids = all.iter().map(|one| one.id().to_owned()).collect();
                sandbox.adopt(all);
                Ok(Done::Told(ids))
            }
            Self::Twin { event } => {
                let found = sandbox.happenings().iter().find(|one| one.id() == event);
                let twin = found.map(crate::event::Happening::twin);
                sandbox.world.happenings.extend(twin);
                Ok(Done::Quiet)
            }
            Self::Clock => Ok(Done::Quiet),
        }
    }
}
