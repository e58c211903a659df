//! Calls of the extern functions, as C makes them.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::{ptr, slice, str};

use secure_torch::Code;

use crate::boundary::{Failure, enter, fill, tell};
use crate::checkpoint::*;
use crate::error::*;
use crate::library::*;
use crate::load::*;
use crate::memory::*;
use crate::policy::*;
use crate::report::*;
use crate::scan::*;
use crate::tensor::*;
use crate::text::*;
use crate::tree::*;
use crate::value::*;

const EVIL: &[u8] = b"cposix\nsystem\n(S'echo hello'\ntR.";

fn read(text: Str) -> String {
    // SAFETY: the tests ask handles that are alive.
    let bytes = unsafe { slice::from_raw_parts(text.data.cast::<u8>(), text.length) };
    str::from_utf8(bytes).unwrap().to_owned()
}

/// Calls with an output and an error, and gives both.
fn call<T>(
    function: impl FnOnce(Option<&mut MaybeUninit<T>>, Option<&mut MaybeUninit<*mut Error>>) -> u32,
) -> (u32, T, Option<Box<Error>>) {
    let (mut out, mut error) = (MaybeUninit::<T>::zeroed(), MaybeUninit::uninit());
    let result = function(Some(&mut out), Some(&mut error));
    // SAFETY: outputs of these types may be zeros.
    let out = unsafe { out.assume_init() };
    // SAFETY: every function writes its error.
    let error = unsafe { error.assume_init() };
    // SAFETY: the library made it, and nobody else has it.
    let error = (!error.is_null()).then(|| unsafe { Box::from_raw(error) });
    assert_eq!(error.is_some(), result != OK);
    assert_eq!(secure_torch_error_result(error.as_deref()), result);
    (result, out, error)
}

fn handle<T>(made: *mut T) -> Option<Box<T>> {
    // SAFETY: the library made it, and nobody else has it.
    (!made.is_null()).then(|| unsafe { Box::from_raw(made) })
}

fn scan(bytes: &[u8]) -> Box<Report> {
    let name = "model.pt";
    // SAFETY: the addresses are those of slices.
    let (_, report, _) = call(|report, error| unsafe {
        let (name, data) = (name.as_ptr().cast::<c_char>(), bytes.as_ptr());
        secure_torch_scan_bytes(name, 8, data, bytes.len(), None, report, error)
    });
    handle(report).unwrap()
}

/// A safetensors file of one tensor: two rows of three floats.
fn safetensors() -> Vec<u8> {
    let header = br#"{"a.b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}     "#;
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header);
    file.extend((0_u8..6).flat_map(|number| f32::from(number).to_le_bytes()));
    file
}

fn load(bytes: &[u8]) -> (u32, Option<Box<Checkpoint>>, Option<Box<Error>>) {
    // SAFETY: the addresses are those of slices.
    let (result, made, error) = call(|made, error| unsafe {
        let (name, data) = (c"m".as_ptr(), bytes.as_ptr());
        secure_torch_load_bytes(name, 1, data, bytes.len(), None, None, made, None, error)
    });
    (result, handle(made), error)
}

#[test]
fn handles_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Checkpoint>();
    shared::<Error>();
    shared::<Memory>();
    shared::<Policy>();
    shared::<Report>();
    shared::<Reports>();
}

#[test]
fn a_panic_is_an_error_and_goes_no_further() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (result, _, error) = call::<u32>(|_, error| enter(error, || panic!("of {}", 3)));
    let told = tell(7, || panic!("again"));
    let (filled, out, _) =
        call(|out, error| fill("out", out, error, || -> Result<u32, Failure> { panic!() }));
    std::panic::set_hook(quiet);
    assert_eq!((result, told), (Code::Internal.number(), 7));
    assert_eq!((filled, out), (result, 0));
    assert_eq!(read(secure_torch_error_message(error.as_deref())), "secure-torch failed: of 3");
    assert_eq!(read(secure_torch_error_code(error.as_deref())), "internal-panic");
}

#[test]
fn what_is_hostile_is_a_verdict() {
    let made = scan(EVIL);
    let report = Some(&*made);
    assert!(!secure_torch_report_load_allowed(report));
    assert_eq!(secure_torch_report_verdict(report), SECURE_TORCH_VERDICT_BLOCK);
    assert_eq!(secure_torch_report_threat_level(report), SECURE_TORCH_LEVEL_CRITICAL);
    let json = read(secure_torch_report_json(report));
    assert_eq!(json, made.inner.json());
    assert!(read(secure_torch_report_sarif(report)).contains("2.1.0"));
    assert!(read(secure_torch_rules_json()).starts_with('{'));
    let (_, finding, _) = call(|out, error| secure_torch_report_finding(report, 0, out, error));
    assert_eq!(read(finding.rule), "pickle.global.dangerous");
    let (result, _, error) = load(EVIL);
    assert_eq!(result, Code::Blocked.number());
    assert!(secure_torch_error_report(error.as_deref()).is_some());
}

#[test]
fn null_is_told_by_name_and_blocks() {
    assert!(!secure_torch_report_load_allowed(None));
    assert_eq!(secure_torch_report_threat_score(None), 100);
    assert_eq!(read(secure_torch_report_json(None)), "");
    secure_torch_report_free(None);
    // SAFETY: NULL is allowed, and told.
    let (result, made, error) = call(|out, error| unsafe {
        secure_torch_load_path(ptr::null(), 3, None, None, out, None, error)
    });
    assert_eq!((result, made), (Code::Usage.number(), ptr::null_mut()));
    let message = read(secure_torch_error_message(error.as_deref()));
    assert_eq!(message, "`file` is NULL, and its length is 3");
    // SAFETY: as above.
    let result = unsafe { secure_torch_scan_path(c"x".as_ptr(), 1, None, None, None) };
    assert_eq!(result, Code::Usage.number());
    let (_, _, error) = call(|out, error| secure_torch_report_finding(None, 0, out, error));
    assert_eq!(read(secure_torch_error_message(error.as_deref())), "`report` is NULL");
}

#[test]
fn tensors_lie_where_they_are_said_to() {
    let (_, made, _) = load(&safetensors());
    let made = made.as_deref();
    let (_, count, _) = call(|out, error| secure_torch_checkpoint_tensor_count(made, out, error));
    assert_eq!(count, 1);
    let (_, named, _) = call(|out, error| secure_torch_checkpoint_tensor(made, 0, out, error));
    assert_eq!(read(named.name), "a.b");
    let (_, info, _) = call(|out, error| secure_torch_tensor_info(made, named.tensor, out, error));
    assert_eq!((info.elements, info.data_length, info.element_size), (6, 24, 4));
    assert_eq!(read(secure_torch_dtype_name(info.dtype)), "float32");
    // SAFETY: a tensor has as many sizes as its rank says.
    let shape = unsafe { slice::from_raw_parts(info.shape, info.rank as usize) };
    assert_eq!(shape, [2, 3]);
    let (_, data, _) = call(|out, error| secure_torch_tensor_data(made, named.tensor, out, error));
    // SAFETY: the checkpoint lives, and has so many bytes there.
    let bytes = unsafe { slice::from_raw_parts(data.data.cast::<u8>(), data.length) };
    assert_eq!(bytes[4..8], 1_f32.to_le_bytes());
    let (_, memory, _) =
        call(|out, error| secure_torch_storage_memory(made, info.storage, out, error));
    let memory = handle(memory);
    assert_eq!(secure_torch_memory_data(memory.as_deref()), data.data);
}

#[test]
fn each_pair_of_metadata_is_found_at_once() {
    const PAIRS: usize = 100_000;
    let pairs: Vec<String> = (0..PAIRS).map(|at| format!("\"{at}\":\"{at}\"")).collect();
    let header = format!("{{\"__metadata__\":{{{}}}}}", pairs.join(","));
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let (_, made, _) = load(&file);
    let made = made.as_deref();
    let began = std::time::Instant::now();
    let mut index = 0;
    while index < secure_torch_checkpoint_metadata_count(made) {
        let (result, pair, _) =
            call(|out, error| secure_torch_checkpoint_metadata(made, index, out, error));
        assert_eq!(
            (result, read(pair.key), read(pair.value)),
            (OK, index.to_string(), index.to_string())
        );
        index += 1;
    }
    assert_eq!(index, PAIRS);
    // Going through all pairs in front of each takes minutes.
    assert!(began.elapsed().as_secs() < 20);
}

#[test]
fn forged_values_lead_to_errors_and_not_astray() {
    let (_, made, _) = load(&safetensors());
    let made = made.as_deref();
    let root = secure_torch_checkpoint_root(made);
    assert_eq!(root.kind, SECURE_TORCH_KIND_DICT);
    for kind in 0..40 {
        for payload in [0, 1, 2, 255, 1 << 31, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            let value = Value { kind, reserved: 9, payload };
            let _ = call(|out, error| secure_torch_value_length(made, value, out, error));
            let _ = call(|out, error| secure_torch_value_item(made, value, 0, out, error));
            let _ = call(|out, error| secure_torch_value_text(made, value, out, error));
            let _ = call(|out, error| secure_torch_value_bytes(made, value, out, error));
            let (result, tensor, _) =
                call(|out, error| secure_torch_value_tensor(made, value, out, error));
            let (info, _, _) =
                call(|out, error| secure_torch_tensor_info(made, tensor, out, error));
            assert!(result != OK || info == OK);
            let dict = call(|out, error| secure_torch_value_entry(made, value, 0, out, error));
            assert_eq!(dict.0 == OK, (kind, payload) == (root.kind, root.payload));
        }
    }
    for number in [1, 7, u32::MAX] {
        let (result, ..) = call(|out, error| secure_torch_tensor_data(made, number, out, error));
        assert_eq!(result, Code::Usage.number());
    }
}

#[test]
fn exports_outlive_the_checkpoint() {
    let (_, made, _) = load(&safetensors());
    let (_, named, _) =
        call(|out, error| secure_torch_checkpoint_tensor(made.as_deref(), 0, out, error));
    let (result, managed, _) = call(|out, error| {
        crate::dlpack::secure_torch_tensor_to_dlpack(made.as_deref(), named.tensor, out, error)
    });
    assert_eq!(result, OK);
    let other = secure_torch_checkpoint_clone(made.as_deref());
    secure_torch_checkpoint_free(made);
    secure_torch_checkpoint_free(other);
    let managed = ptr::NonNull::new(managed).unwrap();
    // SAFETY: the export is whole, and nobody else has it.
    unsafe { secure_torch::dlpack::end_versioned(managed) };
}

#[test]
fn results_have_names() {
    assert_eq!(read(secure_torch_result_name(0)), "ok");
    for code in Code::ALL {
        assert_eq!(read(secure_torch_result_name(code.number())), code.name());
        assert!(!read(secure_torch_result_hint(code.number())).is_empty());
    }
    assert_eq!(secure_torch_result_name(9_999).length, 0);
    assert_eq!(secure_torch_abi_version(), crate::SECURE_TORCH_ABI_VERSION);
    for kind in 0..=SECURE_TORCH_KIND_INSTANCE {
        assert!(secure_torch_kind_name(kind).length > 0);
    }
    assert_eq!(secure_torch_kind_name(SECURE_TORCH_KIND_INSTANCE + 1).length, 0);
}

#[test]
fn a_policy_is_what_was_set() {
    let mut policy = secure_torch_policy_new();
    let policy = policy.as_deref_mut();
    let policy = policy.unwrap();
    let (result, ..) =
        call::<u32>(|_, error| secure_torch_policy_set_max_threat_score(Some(policy), 101, error));
    assert_eq!(result, Code::Usage.number());
    assert_eq!(secure_torch_policy_set_max_threat_score(Some(policy), 7, None), OK);
    assert_eq!(secure_torch_policy_max_threat_score(Some(policy)), 7);
    let limit = |policy: &mut Policy, name: &str, value| {
        // SAFETY: the address is that of a text.
        let (result, ..) = call::<u32>(|_, error| unsafe {
            let start = name.as_ptr().cast();
            secure_torch_policy_set_limit(Some(policy), start, name.len(), value, error)
        });
        result
    };
    assert_eq!(limit(policy, "archive.total_bytes", 5), OK);
    assert_eq!(policy.inner.limits.archive.total_bytes, 5);
    assert_eq!(limit(policy, "no.such", 5), Code::Policy.number());
    // SAFETY: the address is that of a text.
    let allowed = unsafe { secure_torch_policy_allow(Some(policy), c"nodots".as_ptr(), 6, None) };
    assert_eq!(allowed, Code::Policy.number());
}

#[test]
fn what_is_printed_obeys_the_room_and_nothing_else() {
    let shown = |text: &[u8], capacity: usize| {
        let mut room = vec![b'#'; capacity + 1];
        // SAFETY: the text and the room are as long as is said.
        let written = unsafe {
            secure_torch_text_printable(
                text.as_ptr().cast(),
                text.len(),
                room.as_mut_ptr().cast(),
                capacity,
            )
        };
        assert!(written <= capacity && room[written..].iter().all(|&byte| byte == b'#'));
        String::from_utf8(room[..written].to_vec()).unwrap()
    };
    assert_eq!(shown("a\u{1b}[2J\u{202e}模".as_bytes(), 64), "a\\u{1b}[2J\\u{202e}模");
    assert_eq!(shown("模模".as_bytes(), 5), "模");
    assert_eq!(
        (shown("😀x".as_bytes(), 3), shown("😀x".as_bytes(), 4)),
        (String::new(), "😀".into())
    );
    assert_eq!(shown(b"\xff", 8), "\u{fffd}");
    assert_eq!(shown(&[b'x'; 100], 7), "xxxxxxx");
    assert_eq!(shown(b"x", 0), "");
    // SAFETY: NULL is nothing, whatever its length.
    assert_eq!(unsafe { secure_torch_text_printable(ptr::null(), 3, ptr::null_mut(), 9) }, 0);
}
