/*
 * secure_torch.h: the C ABI of secure-torch, the gate that every PyTorch model file passes before
 * anything loads it.
 *
 * Made by `cargo xtask header` from `ffi/src`; do not edit.
 *
 * Conventions, which every function keeps (docs/c.md):
 *  - A function that can fail returns a secure_torch_result and takes `error` last. `error` may be NULL;
 *    otherwise it is set to NULL, or to an error that you end with secure_torch_error_free().
 *  - Outputs follow inputs. On failure they are NULL or zeros.
 *  - Paths, text and bytes go in as a pointer and a length, and are not kept. Paths are the system's
 *    bytes on Unix, UTF-8 elsewhere. NULL with the length 0 is no bytes.
 *  - A secure_torch_str that comes out is UTF-8 without a zero byte at its end. It belongs to the handle
 *    that it was asked of and is valid as long as that is.
 *  - Each handle is ended once, by the function with its name and `_free`, which takes NULL too. No other
 *    function may use it then, or meanwhile.
 *  - Handles do not change once they are made, but for policies and options while they are set: any
 *    number of threads may use one at one time.
 *  - A pointer that is not NULL has to be valid: nothing else about an argument is taken on trust.
 *  - Functions that cannot fail give nothing for NULL: 0, false, an empty text; of a report what blocks.
 */

#ifndef SECURE_TORCH_H
#define SECURE_TORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The numbers of results (spec/errors.toml). They are permanent.

// Done.
#define SECURE_TORCH_RESULT_OK 0
// `{path}` does not exist
#define SECURE_TORCH_RESULT_IO_NOT_FOUND 1
// `{path}` may not be read
#define SECURE_TORCH_RESULT_IO_PERMISSION 2
// `{path}` is not a regular file
#define SECURE_TORCH_RESULT_IO_NOT_A_FILE 3
// `{path}` is a link to a folder
#define SECURE_TORCH_RESULT_IO_LINKED_FOLDER 4
// `{path}` changed while it was read
#define SECURE_TORCH_RESULT_IO_CHANGED 5
// reading `{path}` failed: {cause}
#define SECURE_TORCH_RESULT_IO_FAILED 6
// `{path}` is too large: {cause}
#define SECURE_TORCH_RESULT_INPUT_TOO_LARGE 7
// the policy is not valid: {cause}
#define SECURE_TORCH_RESULT_POLICY_INVALID 8
// `{path}` is blocked: {cause}
#define SECURE_TORCH_RESULT_MODEL_BLOCKED 9
// `{path}` is broken: {cause}
#define SECURE_TORCH_RESULT_MODEL_MALFORMED 10
// `{path}` cannot be loaded: {cause}
#define SECURE_TORCH_RESULT_MODEL_UNSUPPORTED 11
// `{path}` cannot be converted: {cause}
#define SECURE_TORCH_RESULT_MODEL_INCONVERTIBLE 12
// `{path}` exists already
#define SECURE_TORCH_RESULT_IO_EXISTS 13
// {cause}
#define SECURE_TORCH_RESULT_FEATURE_MISSING 14
// `{path}` cannot be written: {cause}
#define SECURE_TORCH_RESULT_IO_WRITE_FAILED 15
// {cause}
#define SECURE_TORCH_RESULT_USAGE 16
// secure-torch failed: {cause}
#define SECURE_TORCH_RESULT_INTERNAL_PANIC 17

// The numbers of dtypes: those of c10::ScalarType. They are permanent.

#define SECURE_TORCH_DTYPE_UINT8 0
#define SECURE_TORCH_DTYPE_INT8 1
#define SECURE_TORCH_DTYPE_INT16 2
#define SECURE_TORCH_DTYPE_INT32 3
#define SECURE_TORCH_DTYPE_INT64 4
#define SECURE_TORCH_DTYPE_FLOAT16 5
#define SECURE_TORCH_DTYPE_FLOAT32 6
#define SECURE_TORCH_DTYPE_FLOAT64 7
#define SECURE_TORCH_DTYPE_COMPLEX32 8
#define SECURE_TORCH_DTYPE_COMPLEX64 9
#define SECURE_TORCH_DTYPE_COMPLEX128 10
#define SECURE_TORCH_DTYPE_BOOL 11
#define SECURE_TORCH_DTYPE_QINT8 12
#define SECURE_TORCH_DTYPE_QUINT8 13
#define SECURE_TORCH_DTYPE_QINT32 14
#define SECURE_TORCH_DTYPE_BFLOAT16 15
#define SECURE_TORCH_DTYPE_QUINT4X2 16
#define SECURE_TORCH_DTYPE_QUINT2X4 17
#define SECURE_TORCH_DTYPE_BITS1X8 18
#define SECURE_TORCH_DTYPE_BITS2X4 19
#define SECURE_TORCH_DTYPE_BITS4X2 20
#define SECURE_TORCH_DTYPE_BITS8 21
#define SECURE_TORCH_DTYPE_BITS16 22
#define SECURE_TORCH_DTYPE_FLOAT8_E5M2 23
#define SECURE_TORCH_DTYPE_FLOAT8_E4M3FN 24
#define SECURE_TORCH_DTYPE_FLOAT8_E5M2FNUZ 25
#define SECURE_TORCH_DTYPE_FLOAT8_E4M3FNUZ 26
#define SECURE_TORCH_DTYPE_UINT16 27
#define SECURE_TORCH_DTYPE_UINT32 28
#define SECURE_TORCH_DTYPE_UINT64 29
#define SECURE_TORCH_DTYPE_UINT1 30
#define SECURE_TORCH_DTYPE_UINT2 31
#define SECURE_TORCH_DTYPE_UINT3 32
#define SECURE_TORCH_DTYPE_UINT4 33
#define SECURE_TORCH_DTYPE_UINT5 34
#define SECURE_TORCH_DTYPE_UINT6 35
#define SECURE_TORCH_DTYPE_UINT7 36
#define SECURE_TORCH_DTYPE_INT1 37
#define SECURE_TORCH_DTYPE_INT2 38
#define SECURE_TORCH_DTYPE_INT3 39
#define SECURE_TORCH_DTYPE_INT4 40
#define SECURE_TORCH_DTYPE_INT5 41
#define SECURE_TORCH_DTYPE_INT6 42
#define SECURE_TORCH_DTYPE_INT7 43
#define SECURE_TORCH_DTYPE_FLOAT8_E8M0FNU 44
#define SECURE_TORCH_DTYPE_FLOAT4_E2M1FN_X2 45

// Of dlpack.h, 1.0 or later, where it is included.
struct DLManagedTensorVersioned;


// The version of this ABI: a higher one breaks programs that were built for a lower one. Compare it
// with secure_torch_abi_version().
#define SECURE_TORCH_ABI_VERSION 1

// What was in a model file: a tree of values, tensors, and the storages below them. The file stays
// open as long as a handle to it lives.
//
// Ownership: yours; end it with secure_torch_checkpoint_free(). Threads: it never changes, and any
// number of them may use it.
typedef struct secure_torch_checkpoint secure_torch_checkpoint;

// What was converted.
//
// Ownership: yours; end it with secure_torch_conversion_free(). Threads: it never changes, and any
// number of them may read it.
typedef struct secure_torch_conversion secure_torch_conversion;

// How a file is converted. A function that takes one takes NULL too, for the defaults.
//
// Ownership: yours; end it with secure_torch_convert_options_free(). Threads: as for a policy.
typedef struct secure_torch_convert_options secure_torch_convert_options;

// Why something was not done. A hostile file is a verdict and no error; that one was not loaded
// because of its verdict is SECURE_TORCH_RESULT_MODEL_BLOCKED, with the report.
//
// Ownership: yours; end it with secure_torch_error_free(). Threads: it never changes, and any number
// of them may read it.
typedef struct secure_torch_error secure_torch_error;

// How a file is loaded. A function that takes one takes NULL too, for the defaults.
//
// Ownership: yours; end it with secure_torch_load_options_free(). Threads: as for a policy.
typedef struct secure_torch_load_options secure_torch_load_options;

// The memory of one storage, which stays when the checkpoint goes. What is written to a mapping of
// the file is seen through the checkpoint and its memories alone and never reaches the file.
//
// Ownership: yours; end it with secure_torch_memory_free(). Threads: any number of them may ask it;
// whoever writes to the bytes sees to it that nobody reads meanwhile.
typedef struct secure_torch_memory secure_torch_memory;

// What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`. A
// function that takes one takes NULL too, for the default.
//
// Ownership: yours; end it with secure_torch_policy_free(). Threads: any number of them may use it at
// one time, but for the setters: nobody else may use a policy while it is set.
typedef struct secure_torch_policy secure_torch_policy;

// The judgement of one file: what was seen, what it is worth, and the verdict.
//
// Ownership: yours where a function gave it to you as an output; end it with
// secure_torch_report_free(). Threads: it never changes, and any number of them may read it.
typedef struct secure_torch_report secure_torch_report;

// The judgements of what lies at and below a path.
//
// Ownership: yours; end it with secure_torch_reports_free(). Threads: it never changes, and any
// number of them may read it.
typedef struct secure_torch_reports secure_torch_reports;

// Text: UTF-8, and not ended by a zero byte. It belongs to the handle that it was asked of and is
// valid as long as that is. Without text, `length` is 0; `data` is never NULL.
typedef struct secure_torch_str {
    // The first byte.
    const char *data;
    // How many bytes there are.
    size_t length;
} secure_torch_str;

// What a function that can fail returns: SECURE_TORCH_RESULT_OK, or the permanent number of an error
// (`spec/errors.toml`). A later release may return numbers that this header does not know.
typedef uint32_t secure_torch_result;

// The band of a threat score: one of SECURE_TORCH_LEVEL_*.
typedef uint32_t secure_torch_level;

// Whether the policy lets a file through: one of SECURE_TORCH_VERDICT_*.
typedef uint32_t secure_torch_verdict;

// A rule that was hit. Its texts belong to the report.
typedef struct secure_torch_finding {
    // The rule's stable id.
    struct secure_torch_str rule;
    // Where: the file's own part is empty, a member's path follows `!/`.
    struct secure_torch_str path;
    // What the finding is about. Safe to print.
    struct secure_torch_str subject;
    // What was seen, as a sentence. Safe to print.
    struct secure_torch_str message;
    // The reason for which the policy's file ignores it; empty where it does not. Safe to print.
    struct secure_torch_str ignored;
    // The byte offset inside the part, where `has_offset` says that there is one.
    uint64_t offset;
    // How often the same rule met the same subject in this part.
    uint64_t count;
    // The rule's points. A rule counts once, however often it is hit.
    uint8_t points;
    // Whether there is an offset.
    bool has_offset;
    // Whether the policy's file ignores it.
    bool is_ignored;
} secure_torch_finding;

// A rule and its points.
typedef struct secure_torch_rule_points {
    // The rule's stable id.
    struct secure_torch_str rule;
    // Its points.
    uint8_t points;
} secure_torch_rule_points;

// A global that a pickle asks for. Its texts belong to the report.
typedef struct secure_torch_global {
    // The module as the stream names it: not safe to print.
    struct secure_torch_str module;
    // The name as the stream spells it: not safe to print.
    struct secure_torch_str name;
    // What Python 3 would import. Safe to print.
    struct secure_torch_str python3;
    // `allowed`, `dangerous` or `unknown`.
    struct secure_torch_str classification;
    // The family of a dangerous one; empty for others.
    struct secure_torch_str family;
    // The part that asks for it.
    struct secure_torch_str path;
    // Where the part first asks for it.
    uint64_t offset;
    // How often what it gives is called.
    uint64_t call_count;
} secure_torch_global;

// A part of the file that was judged: the file itself, or a member of a container. Its texts belong
// to the report.
typedef struct secure_torch_part {
    // The member's path, empty for the file itself.
    struct secure_torch_str path;
    // What it is.
    struct secure_torch_str format;
    // Its length in bytes, unpacked.
    uint64_t size_bytes;
} secure_torch_part;

// How the strings of Python 2 in a pickle are decoded: one of SECURE_TORCH_PYTHON2_TEXT_*.
typedef uint32_t secure_torch_python2_text;

// What a value is: one of SECURE_TORCH_KIND_*, whose numbers are permanent.
typedef uint32_t secure_torch_kind;

// A value of a checkpoint. It is valid with the checkpoint that gave it; of a value that was made
// otherwise nothing but an error or another value of the checkpoint comes.
//
// Two values of kinds from SECURE_TORCH_KIND_BYTEARRAY on that have the same kind and payload are
// one object. Values form no cycle.
typedef struct secure_torch_value {
    // What it is: one of SECURE_TORCH_KIND_*. A later release may give kinds that this header does
    // not know.
    secure_torch_kind kind;
    // 0
    uint32_t reserved;
    // The library's own.
    uint64_t payload;
} secure_torch_value;

// A pair of the metadata that the format keeps beside the values. Its texts belong to the checkpoint.
typedef struct secure_torch_metadata {
    // The key.
    struct secure_torch_str key;
    // The value.
    struct secure_torch_str value;
} secure_torch_metadata;

// A tensor by its name. The name belongs to the checkpoint.
typedef struct secure_torch_named_tensor {
    // The keys that lead to it, joined by dots; empty where it is all that there is. Not safe to
    // print.
    struct secure_torch_str name;
    // What it is: of the kind SECURE_TORCH_KIND_TENSOR, SECURE_TORCH_KIND_PARAMETER,
    // SECURE_TORCH_KIND_SPARSE or SECURE_TORCH_KIND_ARRAY.
    struct secure_torch_value value;
    // The tensor, for secure_torch_tensor_info() and its kin; UINT32_MAX for what is sparse or an
    // array of numpy's.
    uint32_t tensor;
} secure_torch_named_tensor;

// A complex number.
typedef struct secure_torch_complex {
    // The real part.
    double real;
    // The imaginary part.
    double imaginary;
} secure_torch_complex;

// Bytes, which belong to the handle that they were asked of.
typedef struct secure_torch_bytes {
    // The first byte; never NULL.
    const uint8_t *data;
    // How many bytes there are.
    size_t length;
} secure_torch_bytes;

// The start, stop and step of a range.
typedef struct secure_torch_range {
    // The first number.
    int64_t start;
    // Where it ends, which is no number of it.
    int64_t stop;
    // From each number to the next.
    int64_t step;
} secure_torch_range;

// A device. Its text belongs to the checkpoint.
typedef struct secure_torch_device {
    // Its type: `cpu`, `cuda`.
    struct secure_torch_str type_name;
    // Its number, where `has_index` says that there is one.
    uint32_t index;
    // Whether it has a number.
    bool has_index;
} secure_torch_device;

// A class or a function by its name. Its texts are valid for ever.
typedef struct secure_torch_class {
    // The module.
    struct secure_torch_str module;
    // The name in the module.
    struct secure_torch_str name;
} secure_torch_class;

// A key of a dict, and what stands under it.
typedef struct secure_torch_entry {
    // The key. It occurs once, and is hashable.
    struct secure_torch_value key;
    // The value.
    struct secure_torch_value value;
} secure_torch_entry;

// The type of a tensor's elements: one of SECURE_TORCH_DTYPE_*, whose numbers are permanent. They are
// those of c10::ScalarType.
typedef uint32_t secure_torch_dtype;

// A tensor: how the elements of a storage are looked at. It lies inside its storage. Its sizes,
// strides and texts belong to the checkpoint.
typedef struct secure_torch_tensor {
    // The sizes, `rank` of them, none negative.
    const int64_t *shape;
    // The strides, in elements, `rank` of them, none negative.
    const int64_t *strides;
    // How many elements there are, those that share a place counted each.
    uint64_t elements;
    // The number of the storage; UINT64_MAX for a tensor without data (`is_meta`).
    uint64_t storage;
    // How many elements of the storage lie before the first.
    uint64_t storage_offset;
    // The bytes from the first element to the end of the last; 0 without elements.
    uint64_t data_length;
    // The tensor subclass or the class of the parameter that the file names; empty for none.
    struct secure_torch_class class_of;
    // The bytes of an element.
    uint32_t element_size;
    // The type of the elements.
    secure_torch_dtype dtype;
    // How many dimensions there are; at most 64.
    uint32_t rank;
    // Whether it collects gradients.
    bool requires_grad;
    // Whether it shows the complex conjugate of its elements.
    bool is_conj;
    // Whether it shows the negative of its elements.
    bool is_neg;
    // Whether it has no data: it is on torch's `meta` device.
    bool is_meta;
    // Whether it is a torch.nn.Parameter or what wraps a tensor like one.
    bool is_parameter;
    // Whether it is quantised: secure_torch_tensor_quantizer().
    bool is_quantized;
} secure_torch_tensor;

// How the integers of a quantised tensor stand for floats: one of SECURE_TORCH_QUANTIZER_*.
typedef uint32_t secure_torch_quantizer_kind;

// How the integers of a quantised tensor stand for floats.
typedef struct secure_torch_quantizer {
    // The scale, where there is one for all.
    double scale;
    // The zero point, where there is one for all.
    int64_t zero_point;
    // One of SECURE_TORCH_QUANTIZER_*; the fields that it does not name are 0.
    secure_torch_quantizer_kind kind;
    // The axis of the channels, less than the rank.
    uint32_t axis;
    // The tensor of the scales, as many as there are channels.
    uint32_t scales;
    // The tensor of the zero points, as many as there are channels.
    uint32_t zero_points;
} secure_torch_quantizer;

// The elements of a tensor in memory.
typedef struct secure_torch_elements {
    // The first element, aligned for its type and little-endian; never NULL. What is written there
    // is seen through this checkpoint alone and never reaches the file.
    void *data;
    // The bytes from there to the end of the last element; 0 without elements.
    size_t length;
} secure_torch_elements;

// A storage: the memory below tensors. Its text belongs to the checkpoint.
typedef struct secure_torch_storage {
    // Its length in bytes.
    uint64_t length;
    // The device that it was saved on: `cpu`, `cuda:0`.
    struct secure_torch_str location;
    // The type that the file declares for its elements; that of `uint8` where it declares none.
    secure_torch_dtype dtype;
} secure_torch_storage;

// An element type of numpy's. Its texts belong to the checkpoint.
typedef struct secure_torch_numpy_dtype {
    // The unit of a date or a span of time: `ns`; empty for everything else.
    struct secure_torch_str unit;
    // The library's own; it leads to the fields.
    uint64_t fields;
    // How many of the unit make one step.
    uint32_t unit_count;
    // The bytes of an element.
    uint32_t size;
    // How many fields a record has: secure_torch_numpy_field(). 0 for everything else.
    uint32_t field_count;
    // numpy's letter: `b`, `i`, `u`, `f`, `c`, `S`, `U`, `V`, `M`, `m`; `O` in a dtype that stands
    // by itself.
    uint8_t kind;
    // Whether the bytes of an element stand in big-endian order.
    bool big_endian;
    // Whether a record is laid out as a compiler of C would.
    bool aligned;
} secure_torch_numpy_dtype;

// An array of numpy's. Its sizes belong to the checkpoint.
typedef struct secure_torch_array {
    // The sizes, `rank` of them, none negative.
    const int64_t *shape;
    // The type of an element; that of objects has the kind `O` alone.
    struct secure_torch_numpy_dtype dtype;
    // The number of the storage, whose bytes the elements fill; UINT64_MAX for objects, which are
    // items of the value.
    uint64_t storage;
    // How many dimensions there are.
    uint32_t rank;
    // Whether the first index changes fastest; the last does otherwise.
    bool fortran;
} secure_torch_array;

// A field of a record.
typedef struct secure_torch_field {
    // Its name. It belongs to the checkpoint.
    struct secure_torch_str name;
    // Its type.
    struct secure_torch_numpy_dtype dtype;
    // Where it starts in the record, in bytes.
    uint32_t offset;
} secure_torch_field;

// Whether the indices of a sparse tensor are said to be sorted and unique: one of
// SECURE_TORCH_COALESCED_*.
typedef uint32_t secure_torch_coalesced;

// A sparse tensor, whose indices were checked when it was loaded. Its sizes belong to the checkpoint.
typedef struct secure_torch_sparse {
    // `sparse_coo`, `sparse_csr`, `sparse_csc`, `sparse_bsr` or `sparse_bsc`.
    struct secure_torch_str layout;
    // The sizes, `rank` of them, none negative.
    const int64_t *shape;
    // How many dimensions there are.
    uint32_t rank;
    // The tensor of the indices of `sparse_coo`; of the others that of the compressed ones.
    uint32_t indices;
    // The tensor of the plain indices, where `has_plain_indices` says that there is one.
    uint32_t plain_indices;
    // The tensor of the values.
    uint32_t values;
    // Whether the indices are said to be sorted and unique.
    secure_torch_coalesced coalesced;
    // Whether there are plain indices: not for `sparse_coo`.
    bool has_plain_indices;
} secure_torch_sparse;

// A name that was not written because another one has the same tensor. Its texts belong to the
// conversion.
typedef struct secure_torch_tied {
    // The name that was not written.
    struct secure_torch_str name;
    // The one that stands for it.
    struct secure_torch_str written;
} secure_torch_tied;

// Nothing was found.
#define SECURE_TORCH_LEVEL_SAFE 0

// A note.
#define SECURE_TORCH_LEVEL_LOW 1

// Several notes together, or a name that nobody has judged.
#define SECURE_TORCH_LEVEL_MEDIUM 2

// Not what an honest file looks like, or not something that can be judged.
#define SECURE_TORCH_LEVEL_HIGH 3

// An attack, or bytes that can only be meant as one.
#define SECURE_TORCH_LEVEL_CRITICAL 4

// The policy lets it through.
#define SECURE_TORCH_VERDICT_ALLOW 0

// It does not.
#define SECURE_TORCH_VERDICT_BLOCK 1

// As UTF-8. The default.
#define SECURE_TORCH_PYTHON2_TEXT_UTF8 0

// As ASCII.
#define SECURE_TORCH_PYTHON2_TEXT_ASCII 1

// As Latin-1.
#define SECURE_TORCH_PYTHON2_TEXT_LATIN1 2

// Not at all: they stay bytes.
#define SECURE_TORCH_PYTHON2_TEXT_BYTES 3

// None.
#define SECURE_TORCH_KIND_NONE 0

// A bool: secure_torch_value_bool().
#define SECURE_TORCH_KIND_BOOL 1

// An integer of up to 64 bits: secure_torch_value_int().
#define SECURE_TORCH_KIND_INT 2

// Any other integer: secure_torch_value_bytes(), two's complement, little-endian.
#define SECURE_TORCH_KIND_BIGINT 3

// A float: secure_torch_value_float().
#define SECURE_TORCH_KIND_FLOAT 4

// A str: secure_torch_value_text().
#define SECURE_TORCH_KIND_STRING 5

// A bytes: secure_torch_value_bytes().
#define SECURE_TORCH_KIND_BYTES 6

// A tuple: secure_torch_value_item().
#define SECURE_TORCH_KIND_TUPLE 7

// A torch.Size: secure_torch_value_item().
#define SECURE_TORCH_KIND_SIZE 8

// A torch.dtype: secure_torch_value_dtype().
#define SECURE_TORCH_KIND_DTYPE 9

// A class, a layout or a memory format, by name alone: secure_torch_value_class().
#define SECURE_TORCH_KIND_GLOBAL 10

// A storage as a value of its own: secure_torch_value_storage().
#define SECURE_TORCH_KIND_STORAGE 11

// A bytearray: secure_torch_value_bytes().
#define SECURE_TORCH_KIND_BYTEARRAY 12

// A complex: secure_torch_value_complex().
#define SECURE_TORCH_KIND_COMPLEX 13

// A list: secure_torch_value_item().
#define SECURE_TORCH_KIND_LIST 14

// A dict or one of its kin: secure_torch_value_entry(), secure_torch_value_class(),
// secure_torch_value_state(), and for a defaultdict secure_torch_value_factory().
#define SECURE_TORCH_KIND_DICT 15

// A set: secure_torch_value_item().
#define SECURE_TORCH_KIND_SET 16

// A frozenset: secure_torch_value_item().
#define SECURE_TORCH_KIND_FROZENSET 17

// A collections.deque: secure_torch_value_item(), secure_torch_value_deque_limit().
#define SECURE_TORCH_KIND_DEQUE 18

// A slice: secure_torch_value_item(), which gives start, stop and step.
#define SECURE_TORCH_KIND_SLICE 19

// A range: secure_torch_value_range().
#define SECURE_TORCH_KIND_RANGE 20

// A torch.device: secure_torch_value_device().
#define SECURE_TORCH_KIND_DEVICE 21

// A tensor: secure_torch_value_tensor().
#define SECURE_TORCH_KIND_TENSOR 22

// A torch.nn.Parameter or what wraps a tensor like one: secure_torch_value_tensor(), which fails for
// one that is not initialised, secure_torch_value_class(), secure_torch_value_state().
#define SECURE_TORCH_KIND_PARAMETER 23

// A sparse tensor: secure_torch_value_sparse().
#define SECURE_TORCH_KIND_SPARSE 24

// A numpy.ndarray of numbers, strings or records: secure_torch_value_array().
#define SECURE_TORCH_KIND_ARRAY 25

// A numpy.ndarray of objects: secure_torch_value_array() for its shape, secure_torch_value_item().
#define SECURE_TORCH_KIND_OBJECT_ARRAY 26

// A numpy scalar: secure_torch_value_numpy_dtype(), secure_torch_value_bytes().
#define SECURE_TORCH_KIND_SCALAR 27

// A numpy.dtype: secure_torch_value_numpy_dtype().
#define SECURE_TORCH_KIND_NUMPY_DTYPE 28

// An instance of any other class that a checkpoint may hold: secure_torch_value_class(),
// secure_torch_value_item() for the arguments of the call that makes it, secure_torch_value_state().
#define SECURE_TORCH_KIND_INSTANCE 29

// Not at all.
#define SECURE_TORCH_QUANTIZER_NONE 0

// One scale and one zero point for all.
#define SECURE_TORCH_QUANTIZER_PER_TENSOR 1

// A scale and a zero point for each index along an axis.
#define SECURE_TORCH_QUANTIZER_PER_CHANNEL 2

// The same, with zero points that are floats.
#define SECURE_TORCH_QUANTIZER_PER_CHANNEL_FLOAT 3

// Nothing is said.
#define SECURE_TORCH_COALESCED_UNKNOWN 0

// They are not.
#define SECURE_TORCH_COALESCED_NO 1

// They are.
#define SECURE_TORCH_COALESCED_YES 2

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Writes a text of a file's so that it is safe to print: what could move a cursor, hide or reorder text
// becomes `\u{…}`, and what is not UTF-8 the replacement character. Names, places and the JSON of a report
// are as the file has them; messages, reasons and findings are safe as they are.
//
// Gives how many bytes were written: at most `capacity`, of whole characters, without a zero byte behind
// them.
size_t secure_torch_text_printable(const char *text,
                                   size_t length,
                                   char *printable,
                                   size_t capacity);

// The ABI version of the library that is running. Where it is not SECURE_TORCH_ABI_VERSION, call
// nothing else.
uint32_t secure_torch_abi_version(void);

// The version of the library: `0.1.0`. Valid for ever.
struct secure_torch_str secure_torch_version(void);

// The stable name of a result: `model-blocked`; `ok` for SECURE_TORCH_RESULT_OK; empty for a number
// that is none. Valid for ever.
struct secure_torch_str secure_torch_result_name(secure_torch_result result);

// What to do about a result; empty where there is nothing to do. Valid for ever.
struct secure_torch_str secure_torch_result_hint(secure_torch_result result);

// The rules by which files are judged, as JSON: what `secure-torch rules --format json` prints.
// Valid for ever.
struct secure_torch_str secure_torch_rules_json(void);

// The number of the error, the same that the function returned. That of NULL is
// SECURE_TORCH_RESULT_OK.
secure_torch_result secure_torch_error_result(const struct secure_torch_error *error);

// The stable code: `model-blocked`. It is the same in every language.
struct secure_torch_str secure_torch_error_code(const struct secure_torch_error *error);

// What went wrong, with its place. Safe to print.
struct secure_torch_str secure_torch_error_message(const struct secure_torch_error *error);

// What to do about it.
struct secure_torch_str secure_torch_error_hint(const struct secure_torch_error *error);

// The path or name that the error is about, as it was given: not safe to print. Empty where it is
// about none.
struct secure_torch_str secure_torch_error_path(const struct secure_torch_error *error);

// The judgement of the file, where there is one; NULL otherwise.
//
// Ownership: the error's. It is valid as long as that is, and must not be freed.
const struct secure_torch_report *secure_torch_error_report(const struct secure_torch_error *error);

// Ends an error. NULL is fine.
void secure_torch_error_free(struct secure_torch_error *error);

// The default policy: scores up to 20 are let through, no file holds. NULL only where the library
// itself failed.
struct secure_torch_policy *secure_torch_policy_new(void);

// Reads a policy from the text of a `secure-torch.toml` (`docs/policy.md`), UTF-8. Its `paths` count
// from the folder `base`, which has to be there; without one, from the working directory.
//
// Errors: SECURE_TORCH_RESULT_POLICY_INVALID, with line and column.
secure_torch_result secure_torch_policy_from_toml(const char *toml,
                                                  size_t toml_length,
                                                  const char *base,
                                                  size_t base_length,
                                                  struct secure_torch_policy **policy,
                                                  struct secure_torch_error **error);

// Reads the policy in a file, which you name and therefore trust.
//
// Errors: SECURE_TORCH_RESULT_POLICY_INVALID, with line and column, and those of reading.
secure_torch_result secure_torch_policy_open(const char *file,
                                             size_t length,
                                             struct secure_torch_policy **policy,
                                             struct secure_torch_error **error);

// Finds the policy file that holds for a path, as `docs/policy.md` says: in the working directory or
// above it, and above what is judged. Without one, `*policy` is NULL and the result is OK.
//
// Errors: as secure_torch_policy_open().
secure_torch_result secure_torch_policy_discover(const char *judged,
                                                 size_t length,
                                                 struct secure_torch_policy **policy,
                                                 struct secure_torch_error **error);

// Sets the highest score that is let through, 0 to 100. It wins over that of a file.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_policy_set_max_threat_score(struct secure_torch_policy *policy,
                                                             uint8_t score,
                                                             struct secure_torch_error **error);

// Allows a global beyond the rules: `module.name`, or `module:name` where the name holds dots. What
// the rules call dangerous stays dangerous.
//
// Errors: SECURE_TORCH_RESULT_POLICY_INVALID for what is no such name; the policy stays as it was.
secure_torch_result secure_torch_policy_allow(struct secure_torch_policy *policy,
                                              const char *name,
                                              size_t length,
                                              struct secure_torch_error **error);

// Sets a limit of the judgement, by its name in `spec/limits.toml`: `archive.total_bytes`.
//
// Errors: SECURE_TORCH_RESULT_POLICY_INVALID where no limit has the name, or it cannot hold the
// value; the policy stays as it was.
secure_torch_result secure_torch_policy_set_limit(struct secure_torch_policy *policy,
                                                  const char *name,
                                                  size_t length,
                                                  uint64_t value,
                                                  struct secure_torch_error **error);

// The highest score that is let through. 0 for NULL.
uint8_t secure_torch_policy_max_threat_score(const struct secure_torch_policy *policy);

// The path of the file that the policy comes from, as far as it is UTF-8; empty without one.
struct secure_torch_str secure_torch_policy_path(const struct secure_torch_policy *policy);

// Ends a policy. NULL is fine. What was judged or loaded under it does not need it.
void secure_torch_policy_free(struct secure_torch_policy *policy);

// The path or name under which the file was given: not safe to print.
struct secure_torch_str secure_torch_report_path(const struct secure_torch_report *report);

// What the file is, by structure: `pytorch-zip`.
struct secure_torch_str secure_torch_report_format(const struct secure_torch_report *report);

// How many formats' loaders would accept the file; more than one is a polyglot.
size_t secure_torch_report_format_count(const struct secure_torch_report *report);

// One of the formats whose loaders would accept the file; empty past the last.
struct secure_torch_str secure_torch_report_format_at(const struct secure_torch_report *report,
                                                      size_t index);

// The file's length in bytes.
uint64_t secure_torch_report_size_bytes(const struct secure_torch_report *report);

// The points of every rule that was hit, summed: 0 to 100. NULL is worth 100.
uint8_t secure_torch_report_threat_score(const struct secure_torch_report *report);

// The band that the score lies in. NULL is CRITICAL.
secure_torch_level secure_torch_report_threat_level(const struct secure_torch_report *report);

// Whether the policy lets the file through. NULL is blocked.
secure_torch_verdict secure_torch_report_verdict(const struct secure_torch_report *report);

// Whether the verdict is SECURE_TORCH_VERDICT_ALLOW.
bool secure_torch_report_load_allowed(const struct secure_torch_report *report);

// How many reasons there are for the block; none where the file is let through.
size_t secure_torch_report_reason_count(const struct secure_torch_report *report);

// A reason for the block, as a sentence; empty past the last. Safe to print.
struct secure_torch_str secure_torch_report_reason(const struct secure_torch_report *report,
                                                   size_t index);

// How many sentences say what the judgement does not cover.
size_t secure_torch_report_limit_count(const struct secure_torch_report *report);

// What the judgement does not cover, as a sentence; empty past the last.
struct secure_torch_str secure_torch_report_limit(const struct secure_torch_report *report,
                                                  size_t index);

// The report as JSON, in the form of `spec/report.schema.json`: the same bytes in every language.
// Made once, when it is first asked for.
struct secure_torch_str secure_torch_report_json(const struct secure_torch_report *report);

// The report as a SARIF 2.1.0 log. Made once, when it is first asked for.
struct secure_torch_str secure_torch_report_sarif(const struct secure_torch_report *report);

// Ends a report. NULL is fine. One that belongs to another handle must not be ended.
void secure_torch_report_free(struct secure_torch_report *report);

// How many findings there are.
size_t secure_torch_report_finding_count(const struct secure_torch_report *report);

// How many findings are beyond the limit of those that are kept.
uint64_t secure_torch_report_findings_omitted(const struct secure_torch_report *report);

// A finding, in the order of weight, then of place.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_report_finding(const struct secure_torch_report *report,
                                                size_t index,
                                                struct secure_torch_finding *finding,
                                                struct secure_torch_error **error);

// How many rules were hit.
size_t secure_torch_report_breakdown_count(const struct secure_torch_report *report);

// A rule that was hit, with its points, in the order of the ids.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_report_breakdown(const struct secure_torch_report *report,
                                                  size_t index,
                                                  struct secure_torch_rule_points *points,
                                                  struct secure_torch_error **error);

// How many globals the pickles of the file ask for.
size_t secure_torch_report_global_count(const struct secure_torch_report *report);

// A global that a pickle of the file asks for.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_report_global(const struct secure_torch_report *report,
                                               size_t index,
                                               struct secure_torch_global *global,
                                               struct secure_torch_error **error);

// How many parts of the file were judged.
size_t secure_torch_report_part_count(const struct secure_torch_report *report);

// A part of the file that was judged.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_report_part(const struct secure_torch_report *report,
                                             size_t index,
                                             struct secure_torch_part *part,
                                             struct secure_torch_error **error);

// Judges a file without running anything of it. `policy` may be NULL.
//
// The files that it refers to are looked at too. A hostile file is a verdict and no error.
//
// Errors: those of reading (SECURE_TORCH_RESULT_IO_*).
secure_torch_result secure_torch_scan_path(const char *file,
                                           size_t length,
                                           const struct secure_torch_policy *policy,
                                           struct secure_torch_report **report,
                                           struct secure_torch_error **error);

// Judges bytes, which the report calls `name`. They are not copied, and not looked at after the
// call. `policy` may be NULL.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_scan_bytes(const char *name,
                                            size_t name_length,
                                            const uint8_t *data,
                                            size_t length,
                                            const struct secure_torch_policy *policy,
                                            struct secure_torch_report **report,
                                            struct secure_torch_error **error);

// Judges a file, or a folder with everything below it, on several threads. `policy` may be NULL.
//
// What cannot be judged is an error in its place, so this succeeds whatever is there; behind the
// files of a folder come the repositories in it, each judged as a whole.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_scan_tree(const char *root,
                                           size_t length,
                                           const struct secure_torch_policy *policy,
                                           struct secure_torch_reports **reports,
                                           struct secure_torch_error **error);

// How many files and repositories there are.
size_t secure_torch_reports_count(const struct secure_torch_reports *reports);

// The path of one of them, as far as it is UTF-8: not safe to print. Empty past the last.
struct secure_torch_str secure_torch_reports_path(const struct secure_torch_reports *reports,
                                                  size_t index);

// The judgement of one of them; NULL where there is an error instead, and past the last.
//
// Ownership: that of the reports. It is valid as long as they are, and must not be freed.
const struct secure_torch_report *secure_torch_reports_report(const struct secure_torch_reports *reports,
                                                              size_t index);

// Why one of them could not be judged; NULL where it was, and past the last.
//
// Ownership: that of the reports. It is valid as long as they are, and must not be freed.
const struct secure_torch_error *secure_torch_reports_error(const struct secure_torch_reports *reports,
                                                            size_t index);

// Ends the judgements. NULL is fine.
void secure_torch_reports_free(struct secure_torch_reports *reports);

// Judges who signed a file. No release can do that yet.
//
// Errors: SECURE_TORCH_RESULT_FEATURE_MISSING, always.
secure_torch_result secure_torch_verify_path(const char *file,
                                             size_t length,
                                             const struct secure_torch_policy *policy,
                                             struct secure_torch_report **report,
                                             struct secure_torch_error **error);

// The defaults. NULL only where the library itself failed.
struct secure_torch_load_options *secure_torch_load_options_new(void);

// Whether to work on a copy of the file that nobody can change, instead of a mapping of the file
// itself, which shows what others write to it later. Not by default.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_load_options_set_sealed(struct secure_torch_load_options *options,
                                                         bool sealed,
                                                         struct secure_torch_error **error);

// Whether to load what the policy blocks as well, for a program that only listens to the report.
// Nothing of the file is run either way. Not by default.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_load_options_set_audit_only(struct secure_torch_load_options *options,
                                                             bool audit_only,
                                                             struct secure_torch_error **error);

// How the strings of Python 2 in a pickle are decoded.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_load_options_set_python2_text(struct secure_torch_load_options *options,
                                                               secure_torch_python2_text encoding,
                                                               struct secure_torch_error **error);

// Ends options. NULL is fine.
void secure_torch_load_options_free(struct secure_torch_load_options *options);

// Judges a file and loads what it holds, from the same opened bytes; of a folder, the checkpoint in
// it. `policy` and `options` may be NULL, and so may `report`, which is the judgement.
//
// The file stays open, and its tensors lie in a private mapping of it: they are not copied.
//
// Errors: SECURE_TORCH_RESULT_MODEL_BLOCKED where the policy does not let it through,
// SECURE_TORCH_RESULT_MODEL_MALFORMED, SECURE_TORCH_RESULT_MODEL_UNSUPPORTED,
// SECURE_TORCH_RESULT_INPUT_TOO_LARGE, and those of reading. secure_torch_error_report() is the
// judgement then, unless the file could not be read; `*report` is NULL.
secure_torch_result secure_torch_load_path(const char *file,
                                           size_t length,
                                           const struct secure_torch_policy *policy,
                                           const struct secure_torch_load_options *options,
                                           struct secure_torch_checkpoint **checkpoint,
                                           struct secure_torch_report **report,
                                           struct secure_torch_error **error);

// secure_torch_load_path() of bytes, which the report calls `name`. They are copied.
secure_torch_result secure_torch_load_bytes(const char *name,
                                            size_t name_length,
                                            const uint8_t *data,
                                            size_t length,
                                            const struct secure_torch_policy *policy,
                                            const struct secure_torch_load_options *options,
                                            struct secure_torch_checkpoint **checkpoint,
                                            struct secure_torch_report **report,
                                            struct secure_torch_error **error);

// Another handle to the same checkpoint, whose texts, values and addresses are the same: it lives as
// long as any of its handles. NULL for NULL.
struct secure_torch_checkpoint *secure_torch_checkpoint_clone(const struct secure_torch_checkpoint *checkpoint);

// Ends a handle. NULL is fine. With the last one the file is closed, and every text, value and
// address that was asked of the checkpoint ends; memory handles and DLPack exports do not.
void secure_torch_checkpoint_free(struct secure_torch_checkpoint *checkpoint);

// The value that the file holds.
struct secure_torch_value secure_torch_checkpoint_root(const struct secure_torch_checkpoint *checkpoint);

// How many pairs of metadata the format keeps beside the values, such as safetensors'
// `__metadata__`.
size_t secure_torch_checkpoint_metadata_count(const struct secure_torch_checkpoint *checkpoint);

// A pair of metadata.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_checkpoint_metadata(const struct secure_torch_checkpoint *checkpoint,
                                                     size_t index,
                                                     struct secure_torch_metadata *metadata,
                                                     struct secure_torch_error **error);

// How many names of tensors there are: a tensor that two keys lead to has two.
//
// Errors: SECURE_TORCH_RESULT_INPUT_TOO_LARGE where the names take more memory than those of any
// honest file.
secure_torch_result secure_torch_checkpoint_tensor_count(const struct secure_torch_checkpoint *checkpoint,
                                                         size_t *count,
                                                         struct secure_torch_error **error);

// A tensor by its name, in the order of the file.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last, and as
// secure_torch_checkpoint_tensor_count().
secure_torch_result secure_torch_checkpoint_tensor(const struct secure_torch_checkpoint *checkpoint,
                                                   size_t index,
                                                   struct secure_torch_named_tensor *tensor,
                                                   struct secure_torch_error **error);

// Makes ready, on several threads, the memory of every storage that does not lie in the file as it
// is, so that it is there at once when it is asked for. With `copy`, what
// secure_torch_storage_copy() gives as well.
//
// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED, SECURE_TORCH_RESULT_INPUT_TOO_LARGE.
secure_torch_result secure_torch_checkpoint_prepare(const struct secure_torch_checkpoint *checkpoint,
                                                    bool copy,
                                                    struct secure_torch_error **error);

// The name of a kind, for people: `list`. Empty for a number that is none. Valid for ever.
struct secure_torch_str secure_torch_kind_name(secure_torch_kind kind);

// A bool.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_bool(const struct secure_torch_checkpoint *checkpoint,
                                            struct secure_torch_value value,
                                            bool *truth,
                                            struct secure_torch_error **error);

// An integer of up to 64 bits.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_int(const struct secure_torch_checkpoint *checkpoint,
                                           struct secure_torch_value value,
                                           int64_t *number,
                                           struct secure_torch_error **error);

// A float.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_float(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             double *number,
                                             struct secure_torch_error **error);

// A complex number.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_complex(const struct secure_torch_checkpoint *checkpoint,
                                               struct secure_torch_value value,
                                               struct secure_torch_complex *number,
                                               struct secure_torch_error **error);

// The text of a string. It belongs to the checkpoint.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_text(const struct secure_torch_checkpoint *checkpoint,
                                            struct secure_torch_value value,
                                            struct secure_torch_str *text,
                                            struct secure_torch_error **error);

// The bytes of a bytes, a bytearray, a numpy scalar, or of an integer of more than 64 bits (two's
// complement, little-endian). They belong to the checkpoint.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_bytes(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             struct secure_torch_bytes *bytes,
                                             struct secure_torch_error **error);

// The number of a dtype: one of SECURE_TORCH_DTYPE_*.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_dtype(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             uint32_t *dtype,
                                             struct secure_torch_error **error);

// The number of a storage, less than secure_torch_checkpoint_storage_count().
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_storage(const struct secure_torch_checkpoint *checkpoint,
                                               struct secure_torch_value value,
                                               uint64_t *storage,
                                               struct secure_torch_error **error);

// A range.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_range(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             struct secure_torch_range *range,
                                             struct secure_torch_error **error);

// A device.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_device(const struct secure_torch_checkpoint *checkpoint,
                                              struct secure_torch_value value,
                                              struct secure_torch_device *device,
                                              struct secure_torch_error **error);

// The class of a dict, a parameter or an instance; what a global names. It is a name alone: nothing
// is imported.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_class(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             struct secure_torch_class *named,
                                             struct secure_torch_error **error);

// How many items a tuple, a size, a list, a set, a frozenset, a deque, a slice or an object array
// holds, how many entries a dict, how many arguments an instance.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_length(const struct secure_torch_checkpoint *checkpoint,
                                              struct secure_torch_value value,
                                              size_t *length,
                                              struct secure_torch_error **error);

// An item of a value that secure_torch_value_length() counts items or arguments of.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and past the last.
secure_torch_result secure_torch_value_item(const struct secure_torch_checkpoint *checkpoint,
                                            struct secure_torch_value value,
                                            size_t index,
                                            struct secure_torch_value *item,
                                            struct secure_torch_error **error);

// An entry of a dict, in order.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and past the last.
secure_torch_result secure_torch_value_entry(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             size_t index,
                                             struct secure_torch_entry *entry,
                                             struct secure_torch_error **error);

// The attributes that the file gives to a dict, a parameter or an instance, such as `_metadata` of a
// `state_dict`; a value of the kind SECURE_TORCH_KIND_NONE where it gives none.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_state(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             struct secure_torch_value *state,
                                             struct secure_torch_error **error);

// What makes the values that a defaultdict does not have yet: a global or None.
//
// Errors: SECURE_TORCH_RESULT_USAGE for other values.
secure_torch_result secure_torch_value_factory(const struct secure_torch_checkpoint *checkpoint,
                                               struct secure_torch_value value,
                                               struct secure_torch_value *factory,
                                               struct secure_torch_error **error);

// How many items a deque may hold at most; UINT64_MAX where there is no limit.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_deque_limit(const struct secure_torch_checkpoint *checkpoint,
                                                   struct secure_torch_value value,
                                                   uint64_t *limit,
                                                   struct secure_torch_error **error);

// The name of a dtype in torch: `float32`. Empty for a number that is none. Valid for ever.
struct secure_torch_str secure_torch_dtype_name(secure_torch_dtype dtype);

// The bytes of an element. Types of less than a byte are stored in a whole one. 0 for a number that
// is none.
uint64_t secure_torch_dtype_size(secure_torch_dtype dtype);

// The number of a tensor, or of the parameter around one, for secure_torch_tensor_info() and its kin.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds, and for a parameter that is not
// initialised.
secure_torch_result secure_torch_value_tensor(const struct secure_torch_checkpoint *checkpoint,
                                              struct secure_torch_value value,
                                              uint32_t *tensor,
                                              struct secure_torch_error **error);

// What a tensor is.
//
// Errors: SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
secure_torch_result secure_torch_tensor_info(const struct secure_torch_checkpoint *checkpoint,
                                             uint32_t tensor,
                                             struct secure_torch_tensor *info,
                                             struct secure_torch_error **error);

// How the integers of a tensor stand for floats; SECURE_TORCH_QUANTIZER_NONE where it is not
// quantised.
//
// Errors: SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
secure_torch_result secure_torch_tensor_quantizer(const struct secure_torch_checkpoint *checkpoint,
                                                  uint32_t tensor,
                                                  struct secure_torch_quantizer *quantizer,
                                                  struct secure_torch_error **error);

// The elements of a tensor in memory: those of the file's mapping where they lie there as they are,
// else unpacked when the storage is first asked for. They are laid out as secure_torch_tensor_info()
// says, and belong to the checkpoint.
//
// The flags `is_conj` and `is_neg` are not applied. Threads: whoever writes there sees to it that
// nobody reads meanwhile.
//
// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED where a compressed storage does not unpack to what it
// declares, SECURE_TORCH_RESULT_INPUT_TOO_LARGE past a limit, SECURE_TORCH_RESULT_MODEL_UNSUPPORTED
// for a tensor without data, SECURE_TORCH_RESULT_USAGE for a number that is no tensor's.
secure_torch_result secure_torch_tensor_data(const struct secure_torch_checkpoint *checkpoint,
                                             uint32_t tensor,
                                             struct secure_torch_elements *data,
                                             struct secure_torch_error **error);

// How many storages there are.
uint64_t secure_torch_checkpoint_storage_count(const struct secure_torch_checkpoint *checkpoint);

// What a storage is.
//
// Errors: SECURE_TORCH_RESULT_USAGE for a number that is none.
secure_torch_result secure_torch_storage_info(const struct secure_torch_checkpoint *checkpoint,
                                              uint64_t storage,
                                              struct secure_torch_storage *info,
                                              struct secure_torch_error **error);

// The memory of a storage, aligned for its elements, little-endian: the file's private mapping where
// the bytes lie there as they are, else a copy. The same storage is the same memory each time.
//
// Errors: SECURE_TORCH_RESULT_MODEL_MALFORMED where a compressed storage does not unpack to what it
// declares, SECURE_TORCH_RESULT_INPUT_TOO_LARGE past a limit, SECURE_TORCH_RESULT_USAGE for a number
// that is no storage.
secure_torch_result secure_torch_storage_memory(const struct secure_torch_checkpoint *checkpoint,
                                                uint64_t storage,
                                                struct secure_torch_memory **memory,
                                                struct secure_torch_error **error);

// A copy of a storage's bytes that shares nothing with the file, aligned for its elements,
// little-endian. The same storage is the same memory each time.
//
// Errors: as secure_torch_storage_memory().
secure_torch_result secure_torch_storage_copy(const struct secure_torch_checkpoint *checkpoint,
                                              uint64_t storage,
                                              struct secure_torch_memory **memory,
                                              struct secure_torch_error **error);

// The first byte; NULL for NULL alone.
void *secure_torch_memory_data(const struct secure_torch_memory *memory);

// How many bytes there are.
size_t secure_torch_memory_length(const struct secure_torch_memory *memory);

// Whether it is the file's own mapping, of which nothing was copied.
bool secure_torch_memory_is_mapped(const struct secure_torch_memory *memory);

// Another handle to the same memory. NULL for NULL.
struct secure_torch_memory *secure_torch_memory_clone(const struct secure_torch_memory *memory);

// Ends a handle. NULL is fine. With the last one, and the checkpoint, the memory goes.
void secure_torch_memory_free(struct secure_torch_memory *memory);

// A tensor as DLPack 1.1 (`dlpack.h`), over the same memory as secure_torch_tensor_data(). It keeps
// that memory alive by itself and outlives the checkpoint.
//
// Ownership: yours. Call its `deleter` once, on any thread, unless you hand it on to a library that
// does. Nothing of the header may be changed.
//
// Errors: SECURE_TORCH_RESULT_MODEL_UNSUPPORTED for tensors without data, for quantised and other
// elements that DLPack has no name for, and for tensors that show the conjugate or the negative of
// their elements; others as secure_torch_tensor_data().
secure_torch_result secure_torch_tensor_to_dlpack(const struct secure_torch_checkpoint *checkpoint,
                                                  uint32_t tensor,
                                                  struct DLManagedTensorVersioned **managed,
                                                  struct secure_torch_error **error);

// An array of numbers, strings or records, or the shape of one of objects.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_array(const struct secure_torch_checkpoint *checkpoint,
                                             struct secure_torch_value value,
                                             struct secure_torch_array *array,
                                             struct secure_torch_error **error);

// The type of a numpy scalar or array, or a numpy.dtype.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_numpy_dtype(const struct secure_torch_checkpoint *checkpoint,
                                                   struct secure_torch_value value,
                                                   struct secure_torch_numpy_dtype *dtype,
                                                   struct secure_torch_error **error);

// A field of a record type that the checkpoint gave, `index` less than its `field_count`.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_numpy_field(const struct secure_torch_checkpoint *checkpoint,
                                             const struct secure_torch_numpy_dtype *dtype,
                                             size_t index,
                                             struct secure_torch_field *field,
                                             struct secure_torch_error **error);

// A sparse tensor, or the one in a parameter.
//
// Errors: SECURE_TORCH_RESULT_USAGE for values of other kinds.
secure_torch_result secure_torch_value_sparse(const struct secure_torch_checkpoint *checkpoint,
                                              struct secure_torch_value value,
                                              struct secure_torch_sparse *sparse,
                                              struct secure_torch_error **error);

// The defaults. NULL only where the library itself failed.
struct secure_torch_convert_options *secure_torch_convert_options_new(void);

// The part to convert: the keys that lead to it, joined by dots. All of it for an empty one, as by
// default.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_convert_options_set_key(struct secure_torch_convert_options *options,
                                                         const char *key,
                                                         size_t length,
                                                         struct secure_torch_error **error);

// Whether to leave out what is no tensor, and count it. It is an error otherwise, and by default.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_convert_options_set_drop_rest(struct secure_torch_convert_options *options,
                                                               bool drop_rest,
                                                               struct secure_torch_error **error);

// Whether to write a tensor that has several names once for each of them. By default it is written
// once, and the metadata says which name stands for which.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_convert_options_set_duplicate_shared(struct secure_torch_convert_options *options,
                                                                      bool duplicate_shared,
                                                                      struct secure_torch_error **error);

// Whether to replace the file that is written, if it is there. Not by default.
//
// Errors: SECURE_TORCH_RESULT_USAGE.
secure_torch_result secure_torch_convert_options_set_force(struct secure_torch_convert_options *options,
                                                           bool force,
                                                           struct secure_torch_error **error);

// Ends options. NULL is fine.
void secure_torch_convert_options_free(struct secure_torch_convert_options *options);

// Judges a file, loads it, and writes its tensors to a new safetensors file, which is read back and
// compared before it takes its name. `policy`, `loading` and `options` may be NULL.
//
// Errors: those of secure_torch_load_path(), SECURE_TORCH_RESULT_MODEL_INCONVERTIBLE,
// SECURE_TORCH_RESULT_IO_EXISTS, SECURE_TORCH_RESULT_IO_WRITE_FAILED. Nothing is half-written.
secure_torch_result secure_torch_convert_path(const char *file,
                                              size_t file_length,
                                              const char *written,
                                              size_t written_length,
                                              const struct secure_torch_policy *policy,
                                              const struct secure_torch_load_options *loading,
                                              const struct secure_torch_convert_options *options,
                                              struct secure_torch_conversion **conversion,
                                              struct secure_torch_error **error);

// How many tensors were written.
uint64_t secure_torch_conversion_tensors(const struct secure_torch_conversion *conversion);

// The length of the file that was written, in bytes.
uint64_t secure_torch_conversion_bytes(const struct secure_torch_conversion *conversion);

// How many values were left out because they are no tensors.
uint64_t secure_torch_conversion_dropped(const struct secure_torch_conversion *conversion);

// The name of one of the first values that were left out: not safe to print. Empty past the last
// that is named.
struct secure_torch_str secure_torch_conversion_dropped_name(const struct secure_torch_conversion *conversion,
                                                             size_t index);

// How many names were not written because another one has the same tensor.
size_t secure_torch_conversion_tied_count(const struct secure_torch_conversion *conversion);

// A name that was not written because another one has the same tensor.
//
// Errors: SECURE_TORCH_RESULT_USAGE for NULL and past the last.
secure_torch_result secure_torch_conversion_tied(const struct secure_torch_conversion *conversion,
                                                 size_t index,
                                                 struct secure_torch_tied *tied,
                                                 struct secure_torch_error **error);

// The judgement of the file.
//
// Ownership: that of the conversion. It is valid as long as that is, and must not be freed.
const struct secure_torch_report *secure_torch_conversion_report(const struct secure_torch_conversion *conversion);

// Ends a conversion. NULL is fine. The file stays.
void secure_torch_conversion_free(struct secure_torch_conversion *conversion);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SECURE_TORCH_H */
