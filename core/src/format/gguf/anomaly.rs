//! What can be odd about a GGUF file.

anomaly_kinds! {
    /// What breaks a rule of the format, or may be run.
    pub enum Kind;
    Magic, FormatStructure, "gguf.magic", "the file does not start with the format's magic";
    Version, FormatStructure, "gguf.version", "the version is none that the reference reads: 2 or 3";
    Short, FormatStructure, "gguf.short", "the file ends before its header does";
    Count, FormatStructure, "gguf.count", "more things are announced than the file has bytes for";
    Key, FormatStructure, "gguf.key", "a key is empty";
    RepeatedKey, FormatStructure, "gguf.key.repeated", "a key occurs twice, and readers take different ones";
    Type, FormatStructure, "gguf.type", "a value is of a type that the format does not know";
    Nested, FormatStructure, "gguf.array", "an array holds arrays, which the reference refuses";
    Bool, FormatStructure, "gguf.bool", "a boolean is neither 0 nor 1";
    Alignment, FormatStructure, "gguf.alignment", "the alignment is no 32-bit power of two from 8 on";
    RepeatedName, FormatStructure, "gguf.name.repeated", "two tensors have the same name";
    Name, FormatStructure, "gguf.name", "a tensor's name is longer than 63 bytes or has a NUL, which ends it for the reference";
    Dimensions, FormatStructure, "gguf.dimensions", "a tensor has more than four dimensions";
    Elements, FormatStructure, "gguf.elements", "a tensor's size is negative or overflows";
    Element, FormatStructure, "gguf.element", "a tensor has an element type that ggml does not know";
    Row, FormatStructure, "gguf.row", "a tensor's rows are no whole number of blocks";
    Offset, FormatStructure, "gguf.offset", "a tensor does not lie where the one before it ends";
    Data, FormatStructure, "gguf.data", "a tensor reaches past the end of the file";
    Trailing, FormatStructure, "gguf.trailing", "bytes follow the last tensor";
    Limit, FormatStructure, "gguf.limit", "there are more keys or tensors than are followed, and the rest could not be judged";
    Template, MetadataTemplate, "gguf.template", "a template reaches for what leads out of Jinja's sandbox";
    Code, MetadataCode, "gguf.code", "text in the metadata looks like a program";
}
