//! The element types of tensors: one table, which every reader and every door follows.
//!
//! Names, sizes and the order are those of `torch/headeronly/core/ScalarType.h`; what numpy calls a
//! type is in numpy's type strings, and what safetensors calls it in `safetensors/src/tensor.rs`.

use core::fmt;

/// What the elements of a type are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `True` or `False`, a byte each.
    Bool,
    /// Integers without a sign.
    Unsigned,
    /// Integers with a sign.
    Signed,
    /// Floating point.
    Float,
    /// Pairs of floating-point numbers.
    Complex,
    /// Integers that stand for floats by way of a scale and a zero point.
    Quantized,
    /// Bits that only kernels of their own understand.
    Bits,
}

/// Makes [`Dtype`] from one table, in the order of PyTorch's numbers: variant, torch's name, bytes of
/// an element, family, numpy's type without its byte order, the name in the package `ml_dtypes`, the
/// name in safetensors.
macro_rules! dtypes {
    ($($variant:ident $name:literal $size:literal $family:ident
       $numpy:literal $ml:literal $safetensors:literal;)+) => {
        /// The type of a tensor's elements.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Dtype {
            $(#[doc = concat!("`torch.", $name, "`")] $variant,)+
        }

        impl Dtype {
            /// Every type, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number in PyTorch, which is permanent: `c10::ScalarType`, the row of the table.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The name in `torch`: `float32`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The bytes of an element. Types of less than a byte are stored in a whole one.
            #[must_use]
            pub const fn size(self) -> u64 {
                match self { $(Self::$variant => $size,)+ }
            }

            /// What the elements are.
            #[must_use]
            pub const fn family(self) -> Family {
                match self { $(Self::$variant => Family::$family,)+ }
            }

            /// numpy's type string without its byte order, such as `f4`, where numpy has the type.
            #[must_use]
            pub fn numpy(self) -> Option<&'static str> {
                some(match self { $(Self::$variant => $numpy,)+ })
            }

            /// The name in the Python package `ml_dtypes`, where that package has the type.
            #[must_use]
            pub fn ml_dtypes(self) -> Option<&'static str> {
                some(match self { $(Self::$variant => $ml,)+ })
            }

            /// The name in safetensors, where the format has the type.
            #[must_use]
            pub fn safetensors(self) -> Option<&'static str> {
                some(match self { $(Self::$variant => $safetensors,)+ })
            }
        }
    };
}

dtypes! {
    Uint8 "uint8" 1 Unsigned "u1" "" "U8";
    Int8 "int8" 1 Signed "i1" "" "I8";
    Int16 "int16" 2 Signed "i2" "" "I16";
    Int32 "int32" 4 Signed "i4" "" "I32";
    Int64 "int64" 8 Signed "i8" "" "I64";
    Float16 "float16" 2 Float "f2" "" "F16";
    Float32 "float32" 4 Float "f4" "" "F32";
    Float64 "float64" 8 Float "f8" "" "F64";
    Complex32 "complex32" 4 Complex "" "" "";
    Complex64 "complex64" 8 Complex "c8" "" "C64";
    Complex128 "complex128" 16 Complex "c16" "" "";
    Bool "bool" 1 Bool "b1" "" "BOOL";
    Qint8 "qint8" 1 Quantized "" "" "";
    Quint8 "quint8" 1 Quantized "" "" "";
    Qint32 "qint32" 4 Quantized "" "" "";
    Bfloat16 "bfloat16" 2 Float "" "bfloat16" "BF16";
    Quint4x2 "quint4x2" 1 Quantized "" "" "";
    Quint2x4 "quint2x4" 1 Quantized "" "" "";
    Bits1x8 "bits1x8" 1 Bits "" "" "";
    Bits2x4 "bits2x4" 1 Bits "" "" "";
    Bits4x2 "bits4x2" 1 Bits "" "" "";
    Bits8 "bits8" 1 Bits "" "" "";
    Bits16 "bits16" 2 Bits "" "" "";
    Float8E5m2 "float8_e5m2" 1 Float "" "float8_e5m2" "F8_E5M2";
    Float8E4m3fn "float8_e4m3fn" 1 Float "" "float8_e4m3fn" "F8_E4M3";
    Float8E5m2fnuz "float8_e5m2fnuz" 1 Float "" "float8_e5m2fnuz" "F8_E5M2FNUZ";
    Float8E4m3fnuz "float8_e4m3fnuz" 1 Float "" "float8_e4m3fnuz" "F8_E4M3FNUZ";
    Uint16 "uint16" 2 Unsigned "u2" "" "U16";
    Uint32 "uint32" 4 Unsigned "u4" "" "U32";
    Uint64 "uint64" 8 Unsigned "u8" "" "U64";
    Uint1 "uint1" 1 Bits "" "" "";
    Uint2 "uint2" 1 Bits "" "" "";
    Uint3 "uint3" 1 Bits "" "" "";
    Uint4 "uint4" 1 Bits "" "" "";
    Uint5 "uint5" 1 Bits "" "" "";
    Uint6 "uint6" 1 Bits "" "" "";
    Uint7 "uint7" 1 Bits "" "" "";
    Int1 "int1" 1 Bits "" "" "";
    Int2 "int2" 1 Bits "" "" "";
    Int3 "int3" 1 Bits "" "" "";
    Int4 "int4" 1 Bits "" "" "";
    Int5 "int5" 1 Bits "" "" "";
    Int6 "int6" 1 Bits "" "" "";
    Int7 "int7" 1 Bits "" "" "";
    Float8E8m0fnu "float8_e8m0fnu" 1 Float "" "float8_e8m0fnu" "F8_E8M0";
    Float4E2m1fnX2 "float4_e2m1fn_x2" 1 Bits "" "" "F4";
}

fn some(name: &'static str) -> Option<&'static str> {
    (!name.is_empty()).then_some(name)
}

impl Dtype {
    /// The type that a name under `torch` stands for: `float32`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.name() == name)
    }

    /// The type of a number of PyTorch's.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// The type that safetensors calls so.
    #[must_use]
    pub fn from_safetensors(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.safetensors() == Some(name))
    }

    /// The type of numpy's type string without its byte order: `f4`, `b1`.
    #[must_use]
    pub fn from_numpy(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dtype| dtype.numpy() == Some(name))
    }

    /// The type of a storage or tensor class of old files, such as `FloatStorage` or
    /// `torch.FloatTensor` (`torch/__init__.py`, `_storage_classes`, `_tensor_classes`).
    #[must_use]
    pub fn from_class(class: &str) -> Option<Self> {
        let element = class.strip_suffix("Storage").or_else(|| class.strip_suffix("Tensor"))?;
        Some(match element {
            "Byte" | "Untyped" | "_Untyped" => Self::Uint8,
            "Char" => Self::Int8,
            "Short" => Self::Int16,
            "Int" => Self::Int32,
            "Long" => Self::Int64,
            "Half" => Self::Float16,
            "Float" => Self::Float32,
            "Double" => Self::Float64,
            "Bool" => Self::Bool,
            "BFloat16" => Self::Bfloat16,
            "ComplexFloat" => Self::Complex64,
            "ComplexDouble" => Self::Complex128,
            "QInt8" => Self::Qint8,
            "QUInt8" => Self::Quint8,
            "QInt32" => Self::Qint32,
            "QUInt4x2" => Self::Quint4x2,
            "QUInt2x4" => Self::Quint2x4,
            _ => return None,
        })
    }

    /// How many bytes are reversed at a time where the byte order is another: those of an
    /// element, and of each half of a complex one.
    #[must_use]
    pub const fn swap_width(self) -> u64 {
        match self {
            Self::Complex32 => 2,
            Self::Complex64 => 4,
            Self::Complex128 => 8,
            other => other.size(),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for &dtype in Dtype::ALL {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
            for (name, found) in [
                (dtype.safetensors(), dtype.safetensors().and_then(Dtype::from_safetensors)),
                (dtype.numpy(), dtype.numpy().and_then(Dtype::from_numpy)),
            ] {
                assert_eq!(found, name.map(|_| dtype), "{dtype}");
            }
            assert!(dtype.size() % dtype.swap_width() == 0 && dtype.size() > 0);
        }
        assert_eq!(Dtype::from_class("FloatStorage"), Some(Dtype::Float32));
        assert_eq!(Dtype::from_class("HalfTensor"), Some(Dtype::Float16));
        assert_eq!(Dtype::from_class("Float"), None);
        assert_eq!(Dtype::from_numpy(""), None);
    }

    #[test]
    fn numbers_are_pytorchs() {
        for (number, &dtype) in (0_u32..).zip(Dtype::ALL) {
            assert_eq!(u32::from(dtype.number()), number);
            assert_eq!(Dtype::from_number(number), Some(dtype));
        }
        for (dtype, number) in [
            (Dtype::Uint8, 0),
            (Dtype::Float32, 6),
            (Dtype::Bool, 11),
            (Dtype::Bfloat16, 15),
            (Dtype::Float8E4m3fn, 24),
            (Dtype::Uint16, 27),
            (Dtype::Uint1, 30),
            (Dtype::Int7, 43),
            (Dtype::Float8E8m0fnu, 44),
            (Dtype::Float4E2m1fnX2, 45),
        ] {
            assert_eq!(dtype.number(), number, "{dtype}");
        }
        assert_eq!(Dtype::from_number(46), None);
    }

    #[test]
    fn every_dtype_that_may_be_named_is_here() {
        let named = crate::rules::allowed_globals()
            .iter()
            .filter(|global| global.module == "torch" && global.why == "a dtype");
        for global in named {
            assert!(Dtype::from_name(global.name).is_some(), "{}", global.name);
        }
    }
}
