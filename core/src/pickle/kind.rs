//! What the auditor knows of a value: its kind, sets of kinds, and the argument shapes that
//! allowed callables take.
//!
//! Shapes are the answer to module shadowing: `collections.OrderedDict("import os; …")` names
//! an allowed class, but no checkpoint ever calls it with a string, so the call is a finding.

/// The kind of an abstract value. The discriminant is the bit in a [`KindSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `None`.
    None = 0,
    /// `True` or `False`.
    Bool,
    /// An integer of any size.
    Int,
    /// A float, or a complex number.
    Float,
    /// A `str`.
    Text,
    /// The `str` `"latin1"` or `"latin-1"`: the only codec name that allowed calls pass.
    Latin1,
    /// `bytes` or `bytearray`.
    Bytes,
    /// A `list`.
    List,
    /// A `dict` or a subclass that PyTorch checkpoints hold.
    Dict,
    /// A `set`.
    Set,
    /// A `frozenset`.
    FrozenSet,
    /// A `tuple`.
    Tuple,
    /// An imported class.
    Class,
    /// An imported function.
    Function,
    /// An imported constant: a dtype, a layout, a memory format.
    Constant,
    /// What a PyTorch persistent id stands for: a storage.
    Storage,
    /// A rebuilt tensor or parameter.
    Tensor,
    /// A rebuilt numpy array or scalar.
    Array,
    /// A numpy dtype.
    Dtype,
    /// An instance of any other allowed class.
    Object,
    /// Nobody can say: the result of an unknown call, a buffer, a registry entry.
    Unknown,
}

impl Kind {
    /// Every kind with the name that `spec/rules/allowed.toml` uses for it.
    pub const NAMES: [(Self, &'static str); 21] = [
        (Self::None, "none"),
        (Self::Bool, "bool"),
        (Self::Int, "int"),
        (Self::Float, "float"),
        (Self::Text, "text"),
        (Self::Latin1, "latin1"),
        (Self::Bytes, "bytes"),
        (Self::List, "list"),
        (Self::Dict, "dict"),
        (Self::Set, "set"),
        (Self::FrozenSet, "frozenset"),
        (Self::Tuple, "tuple"),
        (Self::Class, "class"),
        (Self::Function, "function"),
        (Self::Constant, "constant"),
        (Self::Storage, "storage"),
        (Self::Tensor, "tensor"),
        (Self::Array, "array"),
        (Self::Dtype, "dtype"),
        (Self::Object, "object"),
        (Self::Unknown, "unknown"),
    ];

    /// The name that `spec/rules/allowed.toml` uses for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(known, _)| *known == self).map_or("unknown", |(_, name)| name)
    }

    /// The set that holds this kind alone.
    #[must_use]
    pub const fn set(self) -> KindSet {
        KindSet(1_u32.wrapping_shl(self as u32))
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KindSet(pub u32);

impl KindSet {
    /// Whether `kind` is in the set. A [`Kind::Latin1`] is a [`Kind::Text`] too.
    #[must_use]
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & kind.set().0 != 0
            || matches!(kind, Kind::Latin1) && self.0 & Kind::Text.set().0 != 0
    }
}

/// The positional arguments that an allowed callable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many of [`Self::args`] must be there.
    pub required: u8,
    /// The kinds of each positional argument.
    pub args: &'static [KindSet],
    /// The kinds of every argument past [`Self::args`], where more may follow.
    pub rest: Option<KindSet>,
}
