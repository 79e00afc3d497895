//! Parameters. Owns: reading form bodies and queries (`items[0][price]=x`) as a tree, and the
//! values in it. Must not know: which parameters a route takes.

use super::error::ApiError;
use crate::object::Metadata;

/// The longest name of a parameter that is read, in bytes.
const LONGEST_NAME: usize = 500;

/// The largest amount that is taken: twelve digits, in minor units.
const LARGEST_AMOUNT: i64 = 999_999_999_999;

/// The deepest nesting that is read.
const DEEPEST: usize = 10;

/// The parameters of a request, or one of them with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {
    /// The whole name, such as `items[0][price]`; empty at the root.
    path: String,
    value: Option<String>,
    children: Vec<(String, Params)>,
}

/// The text is not a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid parameter name {name:?}")]
pub struct ParamsError {
    /// The offending name, cut to 80 characters.
    pub name: String,
}

impl Params {
    /// No parameters.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads `a=1&b[c]=2&d[]=3&e[0][f]=4`, percent-encoded or not.
    pub fn from_form(text: &str) -> Result<Self, ParamsError> {
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self::from_pairs(pairs.filter(|(name, _)| !name.is_empty()))
    }

    /// Parameters by name and value.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ParamsError> {
        let mut root = Self::default();
        for (name, value) in pairs {
            root.insert(name.as_ref(), value.as_ref())?;
        }
        Ok(root)
    }

    fn insert(&mut self, name: &str, value: &str) -> Result<(), ParamsError> {
        let refused = || ParamsError { name: name.chars().take(80).collect() };
        let parts = parts(name).ok_or_else(refused)?;
        if self.set(&parts, value) { Ok(()) } else { Err(refused()) }
    }

    /// Sets the parameter that the parts lead to; false where a value and a tree would meet.
    fn set(&mut self, parts: &[&str], value: &str) -> bool {
        let Some((first, rest)) = parts.split_first() else {
            self.value = Some(value.to_owned());
            return self.children.is_empty();
        };
        if self.value.as_deref().is_some_and(|value| !value.is_empty()) {
            return false;
        }
        let name = if first.is_empty() { self.element(rest) } else { (*first).to_owned() };
        if let Some((_, child)) = self.children.iter_mut().find(|(known, _)| *known == name) {
            return child.set(rest, value);
        }
        let mut child = Self { path: self.path_of(&name), ..Self::default() };
        let set = child.set(rest, value);
        self.children.push((name, child));
        set
    }

    /// The element that `[]` means: the last one as long as it lacks what comes, else a new one.
    fn element(&self, rest: &[&str]) -> String {
        match (self.children.last(), rest.first()) {
            (Some((name, last)), Some(next)) if !last.has(next) => name.clone(),
            (Some(_) | None, _) => self.children.len().to_string(),
        }
    }

    /// The whole name, such as `items[0][price]`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The whole name a child has, or would have.
    pub(crate) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}[{name}]", self.path) }
    }

    /// The value of this parameter itself.
    pub(crate) fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// What is in it, by name and in the order given.
    pub(crate) fn children(&self) -> &[(String, Self)] {
        &self.children
    }

    /// A parameter with what is in it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(known, _)| known == name).map(|(_, child)| child)
    }

    /// Whether a parameter is there at all, with whatever value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether a parameter is there and empty, which unsets.
    pub(crate) fn unsets(&self, name: &str) -> bool {
        self.get(name).is_some_and(|child| child.value.as_deref() == Some(""))
    }

    /// A text; `None` where it is not there or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value().filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::missing_param(&self.path_of(name)))
    }

    /// Writes a text into a field, if it is given; empty unsets.
    pub(crate) fn write_text(&self, name: &str, field: &mut Option<String>) {
        if self.has(name) {
            *field = self.text(name).map(str::to_owned);
        }
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let message = format!("Invalid integer: {text}");
            ApiError::invalid(message).code("parameter_invalid_integer").param(self.path_of(name))
        })
    }

    /// A whole number that is not below zero and has at most twelve digits.
    pub(crate) fn amount(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let amount = self.integer(name)?;
        if amount.is_some_and(|amount| amount < 0) {
            let path = self.path_of(name);
            let message = "Invalid non-negative integer".to_owned();
            return Err(ApiError::invalid(message).code("parameter_invalid_integer").param(path));
        }
        if amount.is_some_and(|amount| amount > LARGEST_AMOUNT) {
            let path = self.path_of(name);
            let message = format!("Amount must be no more than {LARGEST_AMOUNT}.");
            return Err(ApiError::invalid(message).code("amount_too_large").param(path));
        }
        Ok(amount)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let message = format!("Invalid boolean: {other}");
                Err(ApiError::invalid(message).param(self.path_of(name)))
            }
        }
    }

    /// One of several words.
    pub(crate) fn choice(
        &self,
        name: &str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let found = words.iter().find(|word| **word == text).copied();
        found.map(Some).ok_or_else(|| {
            let path = self.path_of(name);
            let message = format!("Invalid {path}: must be one of {}", listed(words));
            ApiError::invalid(message).param(path)
        })
    }

    /// The elements of an array, by their numbers.
    pub(crate) fn list(&self, name: &str) -> Vec<&Self> {
        let children = self.get(name).map(Self::children).unwrap_or_default();
        let mut elements: Vec<(usize, &Self)> = children
            .iter()
            .map(|(number, child)| (number.parse().unwrap_or(usize::MAX), child))
            .collect();
        elements.sort_by_key(|(number, _)| *number);
        elements.into_iter().map(|(_, child)| child).collect()
    }

    /// The texts of an array.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        self.list(name).into_iter().filter_map(Self::value).collect()
    }

    /// Writes `metadata` into metadata: empty values remove their key, an empty whole removes all.
    pub(crate) fn merge_metadata(&self, metadata: &mut Metadata) {
        if self.unsets("metadata") {
            metadata.clear();
        }
        let given = self.get("metadata").map(Self::children).unwrap_or_default();
        for (key, child) in given {
            match child.value() {
                Some("") | None => metadata.remove(key),
                Some(value) => metadata.insert(key.clone(), value.to_owned()),
            };
        }
    }

    /// `metadata` for something new.
    pub(crate) fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        self.merge_metadata(&mut metadata);
        metadata
    }

    /// Everything in one text, the same for any order of the parameters.
    pub(crate) fn fingerprint(&self) -> String {
        let mut lines = Vec::new();
        self.lines(&mut lines);
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Everything as a query, but for one parameter.
    pub(crate) fn encoded_without(&self, name: &str) -> String {
        let mut pairs = Vec::new();
        for (_, child) in self.children.iter().filter(|(known, _)| known != name) {
            child.pairs(&mut pairs);
        }
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }

    fn pairs<'p>(&'p self, pairs: &mut Vec<(&'p str, &'p str)>) {
        pairs.extend(self.value.as_deref().map(|value| (self.path.as_str(), value)));
        for (_, child) in &self.children {
            child.pairs(pairs);
        }
    }

    fn lines(&self, lines: &mut Vec<String>) {
        lines.extend(self.value.as_ref().map(|value| format!("{}={value:?}", self.path)));
        for (_, child) in &self.children {
            child.lines(lines);
        }
    }
}

/// `a`, `b` and `` of `a[b][]`.
fn parts(name: &str) -> Option<Vec<&str>> {
    let (first, mut rest) = name.find('[').map_or((name, ""), |at| name.split_at(at));
    if first.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let mut parts = vec![first];
    while !rest.is_empty() {
        let (part, after) = rest.strip_prefix('[')?.split_once(']')?;
        parts.push(part);
        rest = after;
    }
    (parts.len() <= DEEPEST).then_some(parts)
}

/// `a, b, or c`.
pub(crate) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} or {second}"),
        [most @ .., last] => format!("{}, or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Params {
        Params::from_form(text).unwrap()
    }

    #[test]
    fn forms_are_read_as_trees_percent_encoded_or_not() {
        let params = read("a=1&b[c]=2&b%5Bd%5D=x+y&l[]=p&l[]=q&i[1][k]=second&i[0][k]=first");
        let unnumbered = read("e[][a]=1&e[][b]=2&e[][a]=3");
        let texts = |name| unnumbered.list("e").iter().map(|e| e.text(name)).collect::<Vec<_>>();
        assert_eq!((texts("a"), texts("b")), (vec![Some("1"), Some("3")], vec![Some("2"), None]));
        assert_eq!(params.text("a"), Some("1"));
        assert_eq!(params.get("b").unwrap().text("c"), Some("2"));
        assert_eq!(params.get("b").unwrap().text("d"), Some("x y"));
        assert_eq!(params.texts("l"), ["p", "q"]);
        let keys: Vec<_> = params.list("i").iter().filter_map(|item| item.text("k")).collect();
        assert_eq!(keys, ["first", "second"]);
        assert_eq!(params.list("i")[0].path_of("k"), "i[0][k]");
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for text in ["a[b=1", "[a]=1", "a]b[=1&a]=2&a[", "a=1&a[b]=2", "a[b]=1&a=2"] {
            assert!(Params::from_form(text).is_err(), "{text}");
        }
        let deep = format!("a{}=1", "[b]".repeat(DEEPEST));
        assert!(Params::from_form(&deep).is_err());
        assert!(Params::from_form(&format!("{}=1", "a".repeat(LONGEST_NAME + 1))).is_err());
        assert_eq!(read(""), Params::empty());
    }

    #[test]
    fn values_are_typed_and_faults_name_the_parameter() {
        let params = read("n=12&bad=x&t=true&w=one&minus=-1&i[0][q]=y&e=");
        assert_eq!(params.integer("n"), Ok(Some(12)));
        assert_eq!(params.integer("none"), Ok(None));
        assert_eq!(params.boolean("t"), Ok(Some(true)));
        assert_eq!(params.choice("w", &["one", "two"]), Ok(Some("one")));
        let bad = params.integer("bad").unwrap_err();
        assert_eq!(
            (bad.code, bad.param.as_deref()),
            (Some("parameter_invalid_integer"), Some("bad"))
        );
        assert!(params.amount("minus").is_err());
        let large = read("a=1000000000000&b=999999999999");
        assert_eq!(large.amount("a").unwrap_err().code, Some("amount_too_large"));
        assert_eq!(large.amount("b"), Ok(Some(999_999_999_999)));
        assert_eq!(params.list("i")[0].integer("q").unwrap_err().param.as_deref(), Some("i[0][q]"));
        assert_eq!(params.boolean("bad").unwrap_err().message.as_ref(), "Invalid boolean: x");
        let choice = params.choice("bad", &["one", "two", "three"]).unwrap_err();
        assert_eq!(choice.message.as_ref(), "Invalid bad: must be one of one, two, or three");
        assert!(params.unsets("e") && params.has("e") && params.text("e").is_none());
        assert_eq!(
            params.required("e").unwrap_err().message.as_ref(),
            "Missing required param: e."
        );
    }

    #[test]
    fn metadata_merges_and_empty_values_remove() {
        let mut metadata = read("metadata[a]=1&metadata[b]=2").metadata();
        read("metadata[a]=&metadata[c]=3").merge_metadata(&mut metadata);
        assert_eq!(
            metadata.into_iter().collect::<Vec<_>>(),
            [("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]
        );
        let mut metadata = read("metadata[a]=1").metadata();
        read("metadata=").merge_metadata(&mut metadata);
        assert!(metadata.is_empty());
    }

    #[test]
    fn a_fingerprint_does_not_depend_on_order_but_on_every_value() {
        assert_eq!(read("a=1&b[c]=2").fingerprint(), read("b[c]=2&a=1").fingerprint());
        assert_ne!(read("a=1&b[c]=2").fingerprint(), read("b[c]=3&a=1").fingerprint());
        assert_ne!(read("a=1").fingerprint(), read("a=1&b=").fingerprint());
    }
}
