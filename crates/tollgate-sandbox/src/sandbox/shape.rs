//! Which parameters a route takes. Owns: a small notation for them, and refusing what is unknown,
//! missing or of the wrong form. Must not know: values.
//!
//! The notation: names divided by blanks; `name!` must be given; `name[]` is an array, `name{…}` a
//! hash with the names inside, `name[]{…}` an array of hashes, `name{*}` a hash with any keys,
//! `name{*{…}}` one of hashes. A
//! hash or array may always be given empty, which unsets it; `name?{…}` may also be a plain value.

use super::error::ApiError;
use super::params::Params;

/// What one parameter, or all of them, may hold.
#[derive(Debug, Clone, Default)]
struct Shape<'a> {
    array: bool,
    required: bool,
    /// The names inside; `None` for a plain value.
    fields: Option<Vec<(&'a str, Shape<'a>)>>,
    any: bool,
    /// What each value of a hash with any keys holds; empty for plain values.
    each: Vec<(&'a str, Shape<'a>)>,
    /// A hash that may be a plain value instead.
    or_plain: bool,
}

/// Refuses parameters that a route with this notation does not take.
pub(super) fn check(accepts: &str, params: &Params) -> Result<(), ApiError> {
    let mut rest = accepts;
    let root = Shape { fields: Some(fields(&mut rest)), ..Shape::default() };
    root.check_hash(params)
}

/// Reads fields up to the end or a closing brace.
fn fields<'a>(rest: &mut &'a str) -> Vec<(&'a str, Shape<'a>)> {
    let mut fields = Vec::new();
    loop {
        *rest = rest.trim_start();
        let end = rest.find([' ', '\n', '{', '}', '[', '!', '?']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() {
            return fields;
        }
        *rest = after;
        fields.push((name, shape(rest)));
    }
}

/// Reads what follows a name.
fn shape<'a>(rest: &mut &'a str) -> Shape<'a> {
    let mut shape = Shape::default();
    let mut take = |mark: &str| {
        let after = rest.strip_prefix(mark);
        *rest = after.unwrap_or(rest);
        after.is_some()
    };
    shape.required = take("!");
    shape.or_plain = take("?");
    shape.array = take("[]");
    if take("{*}") {
        shape.any = true;
        shape.fields = Some(Vec::new());
    } else if take("{*{") {
        shape.any = true;
        shape.fields = Some(Vec::new());
        shape.each = fields(rest);
        *rest = rest.strip_prefix("}}").unwrap_or(rest);
    } else if take("{") {
        shape.fields = Some(fields(rest));
        *rest = rest.strip_prefix('}').unwrap_or(rest);
    }
    shape
}

impl Shape<'_> {
    fn check(&self, params: &Params) -> Result<(), ApiError> {
        let empty = params.children().is_empty() && params.value().is_none_or(str::is_empty);
        if self.array {
            if params.children().is_empty() && !empty {
                return Err(wrong(params, "array"));
            }
            return params.children().iter().try_for_each(|(number, element)| {
                if number.parse::<usize>().is_err() {
                    return Err(wrong(params, "array"));
                }
                self.check_one(element)
            });
        }
        if self.fields.is_some() && empty && !params.path().is_empty() {
            return Ok(());
        }
        self.check_one(params)
    }

    fn check_one(&self, params: &Params) -> Result<(), ApiError> {
        match &self.fields {
            None if params.children().is_empty() => Ok(()),
            None => Err(wrong(params, "string")),
            Some(_) if params.children().is_empty() && self.or_plain => Ok(()),
            Some(_) if params.children().is_empty() => Err(wrong(params, "object")),
            Some(_) => self.check_hash(params),
        }
    }

    fn check_hash(&self, params: &Params) -> Result<(), ApiError> {
        for (name, child) in params.children() {
            let known = self.fields.iter().flatten().find(|(known, _)| known == name);
            match known {
                Some((_, shape)) => shape.check(child)?,
                None if self.any && self.each.is_empty() && child.children().is_empty() => {}
                None if self.any && !self.each.is_empty() => {
                    let fields = self.each.iter().map(|(name, shape)| (*name, shape.clone()));
                    let fields = Some(fields.collect());
                    Shape { fields, ..Shape::default() }.check_one(child)?;
                }
                None => return Err(ApiError::unknown_param(child.path())),
            }
        }
        let missing = |(name, shape): &&(&str, Shape<'_>)| {
            shape.required
                && params.get(name).is_none_or(|child| {
                    child.children().is_empty() && child.value().is_none_or(str::is_empty)
                })
        };
        let missing = self.fields.iter().flatten().find(missing);
        missing.map_or(Ok(()), |(name, _)| Err(ApiError::missing_param(&params.path_of(name))))
    }
}

fn wrong(params: &Params, wanted: &str) -> ApiError {
    ApiError::invalid(format!("Invalid {wanted}: {}", params.path())).param(params.path())
}

/// The whole names of all plain values in a notation; arrays have one element.
#[cfg(test)]
pub(super) fn names(accepts: &str) -> Vec<String> {
    fn walk(place: &str, fields: &[(&str, Shape<'_>)], names: &mut Vec<String>) {
        for (name, shape) in fields {
            let name =
                if place.is_empty() { (*name).to_owned() } else { format!("{place}[{name}]") };
            let name = if shape.array { format!("{name}[0]") } else { name };
            match &shape.fields {
                Some(_) if shape.any && !shape.each.is_empty() => {
                    walk(&format!("{name}[key]"), &shape.each, names);
                }
                Some(_) if shape.any => names.push(format!("{name}[key]")),
                Some(fields) => walk(&name, fields, names),
                None => names.push(name),
            }
        }
    }
    let (mut rest, mut names) = (accepts, Vec::new());
    walk("", &fields(&mut rest), &mut names);
    names
}

/// Whether a notation is read to its end.
#[cfg(test)]
pub(super) fn is_well_formed(accepts: &str) -> bool {
    let mut rest = accepts;
    fields(&mut rest);
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPTS: &str = "name! tags[] metadata{*} items[]{price! quantity data{amount! unit}} \
         created?{gt lt} options{*{amount! unit}} x";

    fn checked(form: &str) -> Result<(), (Option<&'static str>, String)> {
        let params = Params::from_form(form).unwrap();
        check(ACCEPTS, &params).map_err(|error| (error.code, error.param.unwrap().into_string()))
    }

    fn refused(form: &str, code: Option<&'static str>, param: &str) {
        assert_eq!(checked(form), Err((code, param.to_owned())), "{form}");
    }

    #[test]
    fn what_a_route_takes_is_taken() {
        for form in [
            "name=a",
            "name=a&tags[]=1&tags[]=2&metadata[any]=1&x=",
            "name=a&metadata=&tags=&items=",
            "name=a&created=5",
            "name=a&options[eur][amount]=5&options[usd][amount]=6",
            "name=a&created[gt]=5",
            "name=a&items[0][price]=p&items[0][data][amount]=1&items[1][price]=q",
        ] {
            assert_eq!(checked(form), Ok(()), "{form}");
        }
    }

    #[test]
    fn unknown_missing_and_malformed_parameters_are_named() {
        let (unknown, missing) = (Some("parameter_unknown"), Some("parameter_missing"));
        refused("name=a&y=1", unknown, "y");
        refused("name=a&items[0][price]=p&items[0][colour]=red", unknown, "items[0][colour]");
        refused("name=a&metadata[a][b]=1", unknown, "metadata[a]");
        refused("name=a&options[eur][b]=1", unknown, "options[eur][b]");
        refused("name=a&options[eur]=1", None, "options[eur]");
        refused("name=a&created[over]=1", unknown, "created[over]");
        refused("x=1", missing, "name");
        refused("name=", missing, "name");
        refused("name=a&items[0][quantity]=1", missing, "items[0][price]");
        refused(
            "name=a&items[0][price]=p&items[0][data][unit]=u",
            missing,
            "items[0][data][amount]",
        );
        refused("name[a]=1", None, "name");
        refused("name=a&items[first][price]=p", None, "items");
        refused("name=a&items=p", None, "items");
        refused("name=a&items[0]=p", None, "items[0]");
        refused("name=a&metadata=x", None, "metadata");
    }

    #[test]
    fn the_names_of_a_notation_are_those_it_takes() {
        let found = names(ACCEPTS);
        assert!(found.contains(&"items[0][data][amount]".to_owned()), "{found:?}");
        let form: Vec<String> = found.iter().map(|name| format!("{name}=1")).collect();
        assert_eq!(checked(&form.join("&")), Ok(()));
    }

    #[test]
    fn a_notation_is_read_to_its_end() {
        assert!(is_well_formed(ACCEPTS) && is_well_formed(""));
        assert!(!is_well_formed("a }b"));
    }
}
