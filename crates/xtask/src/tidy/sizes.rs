//! Measures files and functions: lines of product code, tests left out.
//!
//! Owns how a line is counted. The limits and the exceptions are the ratchet's.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// What one Rust file measures.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Lines of the file without its `#[cfg(test)]` items.
    pub(super) lines: usize,
    /// (name, first line, lines) of each function outside tests, in order of appearance.
    pub(super) functions: Vec<(String, usize, usize)>,
}

/// Measures a file.
///
/// # Errors
/// When it is not Rust.
pub(super) fn measure(text: &str) -> Result<Size, syn::Error> {
    let file = syn::parse_file(text)?;
    let mut measuring = Measuring::default();
    measuring.visit_file(&file);
    let lines = text.lines().count().saturating_sub(measuring.test_lines);
    Ok(Size { lines, functions: measuring.functions })
}

/// Whether a file holds nothing but tests, by its place.
pub(super) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.contains("/benches/")
}

#[derive(Default)]
struct Measuring {
    owner: Option<String>,
    functions: Vec<(String, usize, usize)>,
    test_lines: usize,
}

impl Measuring {
    fn record(&mut self, name: &syn::Ident, from: Span, to: Span) {
        let name = match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name.to_string(),
        };
        let first = from.start().line;
        self.functions.push((name, first, to.end().line.saturating_sub(first) + 1));
    }

    fn skip(&mut self, attributes: &[syn::Attribute], item: Span) -> bool {
        let skipped = attributes.iter().any(is_test_only);
        if skipped {
            let first = attributes.first().map_or(item, syn::spanned::Spanned::span).start().line;
            self.test_lines += item.end().line.saturating_sub(first) + 1;
        }
        skipped
    }
}

fn is_test_only(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    if path.segments.last().is_some_and(|segment| segment.ident == "test") {
        return true;
    }
    path.is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

impl<'ast> Visit<'ast> for Measuring {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !self.skip(&module.attrs, module.span()) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !self.skip(&function.attrs, function.span()) {
            self.record(&function.sig.ident, function.sig.span(), function.block.span());
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if self.skip(&block.attrs, block.span()) {
            return;
        }
        let name = if let syn::Type::Path(path) = block.self_ty.as_ref() {
            path.path.segments.last().map(|last| last.ident.to_string())
        } else {
            None
        };
        let outer = std::mem::replace(&mut self.owner, name);
        visit::visit_item_impl(self, block);
        self.owner = outer;
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !self.skip(&function.attrs, function.span()) {
            self.record(&function.sig.ident, function.sig.span(), function.block.span());
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.record(&function.sig.ident, function.sig.span(), body.span());
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_test_file, measure};

    const SOURCE: &str = "//! Header.

fn first() {
    let a = 1;
}

struct Thing;

impl Thing {
    /// Documentation is not counted.
    fn second(
        &self,
    ) {
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn third() {
    }
}
";

    #[test]
    fn functions_are_measured_from_signature_to_brace_and_tests_left_out() {
        let size = measure(SOURCE).unwrap();
        let expected = [("first".to_owned(), 3, 3), ("Thing::second".to_owned(), 11, 4)];
        assert_eq!(size.functions, expected);
        assert_eq!(size.lines, 16);
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(measure("fn (").is_err());
    }

    #[test]
    fn files_of_tests_are_known_by_their_place() {
        assert!(is_test_file("crates/a/src/order/tests.rs"));
        assert!(is_test_file("crates/a/tests/it/main.rs"));
        assert!(!is_test_file("crates/a/src/testing.rs"));
    }
}
