//! Names of closed sets. Owns: one list from which a type has its values and their texts. Must not know:
//! any of these types.

/// Gives an enum without fields its list of values and their names. A value that is left out does not
/// compile.
#[macro_export]
macro_rules! names {
    ($type:ident { $($value:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// Its name, in the API and in storage.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }
    };
}
