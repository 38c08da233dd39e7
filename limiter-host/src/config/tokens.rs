//! The token file.

use super::draft::judge;
use super::error::ConfigError;
use super::policy::Plans;
use super::read;
use super::reader::{Document, Found, Section};
use super::values::word;
use limiter_core::{HashKey, Kind, Plan, Registration, TokenId, TokenLimit};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

/// What a token file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFile {
    /// The tokens, in the order of the file.
    pub tokens: Vec<TokenEntry>,
}

impl TokenFile {
    /// Reads and checks a file; plans are those of the policy.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes.
    pub fn read(path: &Path, plans: &Plans) -> Result<Self, ConfigError> {
        Self::parse(&read(path)?, &path.display().to_string(), plans)
    }

    /// Checks a text; `file` is its name in messages, which never repeat a token.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all mistakes.
    pub fn parse(text: &str, file: &str, plans: &Plans) -> Result<Self, ConfigError> {
        let (document, root) = Document::parse(text, file);
        let root = Section::root(&document, &root);
        root.allow(&["tokens"]);
        root.require("tokens");
        let tokens = token_list(&root, plans);
        document.finish(file, Some(Self { tokens }))
    }
}

/// Reads the list `tokens`.
pub(super) fn token_list(root: &Section<'_, '_>, plans: &Plans) -> Vec<TokenEntry> {
    let mut tokens = Vec::new();
    let mut lines: HashMap<&str, usize> = HashMap::new();
    for section in root.list("tokens").unwrap_or_default() {
        let entry = token_entry(&section, plans);
        // Its type has been judged with the entry.
        let token = section.value("token");
        if let Some(Found { value, at }) = token
            && let Some(line) = value
                .as_text()
                .and_then(|t| lines.insert(t, section.line()))
        {
            let what = format!("the same token as that of line {line}");
            section.note(at, "token", what);
        }
        tokens.extend(entry);
    }
    tokens
}

/// One token of a file. `Debug` does not show the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// The credential.
    pub token: String,
    /// The account that it belongs to.
    pub user: String,
    /// Its kind.
    pub kind: Kind,
    /// What sets its permits per window.
    pub limit: TokenLimit,
}

impl TokenEntry {
    /// The token's id under a key, and what to register it with.
    #[must_use]
    pub fn registration(&self, key: &HashKey) -> (TokenId, Registration) {
        let registration = Registration {
            user: key.user(self.user.as_bytes()),
            kind: self.kind,
            limit: self.limit,
            pinned: false,
        };
        (key.token(self.token.as_bytes()), registration)
    }
}

impl fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEntry")
            .field("user", &self.user)
            .field("kind", &self.kind)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

fn token_entry(section: &Section<'_, '_>, plans: &Plans) -> Option<TokenEntry> {
    section.allow(&["token", "user", "kind", "plan", "limit"]);
    section.require("token");
    section.require("user");
    let token = section.text("token");
    if let Some(Found { value, at }) = token
        && (value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        let what = "must be of visible ASCII characters, at least one, for a header to carry it";
        section.note(at, "token", what);
    }
    let user = section.text("user");
    if let Some(Found { value: "", at }) = user {
        section.note(at, "user", "must not be empty");
    }
    let kind = if section.has("kind") {
        let kinds = [
            ("api_token", Kind::ApiToken),
            ("access_token", Kind::AccessToken),
        ];
        word(section, "kind", &kinds)
    } else {
        Some(Kind::ApiToken)
    };
    Some(TokenEntry {
        limit: limit(section, plans)?,
        token: token?.value.to_owned(),
        user: user?.value.to_owned(),
        kind: kind?,
    })
}

fn limit(section: &Section<'_, '_>, plans: &Plans) -> Option<TokenLimit> {
    match (section.has("plan"), section.has("limit")) {
        (false, false) => {
            section.note_all("needs a plan or a limit");
            None
        }
        (true, true) => {
            section.note_all("has a plan and a limit, and may have only one");
            None
        }
        (true, false) => {
            let Found { value, at } = section.text("plan")?;
            let plan = plans.find(value);
            if plan.is_none() {
                let names: Vec<&str> = plans.iter().map(|(name, _)| name).collect();
                let what = format!("no such plan; the policy has {}", names.join(", "));
                section.note(at, "plan", what);
            }
            plan.map(TokenLimit::Plan)
        }
        (false, true) => {
            let Found { value, at } = section.number("limit")?;
            // The core's own word on a window limit.
            match judge(|builder| builder.plan(Plan::new(0), value, value)) {
                Ok(()) => Some(TokenLimit::Own(value)),
                Err(error) => {
                    section.note(at, "limit", error.to_string());
                    None
                }
            }
        }
    }
}
