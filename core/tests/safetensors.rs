//! Our safetensors reader and the reference, the crate `safetensors`, side by side: what we accept
//! it accepts, and where we refuse what it accepts the reason is one of [`STRICTER`].

#![expect(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    reason = "a broken promise fails the test"
)]

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use safetensors::SafeTensors;
use secure_torch_core::format::event::Event;
use secure_torch_core::format::safetensors::{Kind, accepts, read};
use secure_torch_core::limits::Limits;
use secure_torch_core::score::Rule;

/// What we refuse and the reference accepts, and why.
const STRICTER: [(Kind, &str); 5] = [
    (Kind::Start, "the format's description wants a brace first, and readers check for it"),
    (Kind::RepeatedName, "the reference takes the last of two equal names, others the first"),
    (Kind::RepeatedKey, "the same, for keys of the metadata"),
    (Kind::Entry, "serde takes a tensor as an array of its fields; no writer does"),
    (Kind::Type, "serde takes an element type as an object with `null`; no writer does"),
];

/// The ids of what breaks the format.
fn ours(file: &[u8]) -> BTreeSet<&'static str> {
    let mut broken = BTreeSet::new();
    read(file, &Limits::default(), &mut |event| {
        if let Event::Anomaly(anomaly) = event
            && anomaly.rule == Rule::SafetensorsStructure
        {
            assert!(anomaly.offset <= file.len() as u64);
            broken.insert(anomaly.id);
        }
    });
    broken
}

/// Whether the two agree, and whether the file is accepted.
fn same(file: &[u8]) -> bool {
    let ours = ours(file);
    let theirs = SafeTensors::read_metadata(file);
    let shown = String::from_utf8_lossy(file);
    match &theirs {
        Err(error) => assert!(!ours.is_empty(), "the reference refuses it: {error}: {shown:?}"),
        Ok(_) => {
            let stricter = |id: &str| STRICTER.iter().any(|(kind, _)| kind.id() == id);
            // The reference checks the last of two tensors of one name alone.
            let repeated = ours.contains(Kind::RepeatedName.id());
            assert!(repeated || ours.iter().all(|id| stricter(id)), "{ours:?}: {shown:?}");
        }
    }
    theirs.is_ok() && ours.is_empty()
}

fn file(header: &str, data: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + data, 0);
    file
}

/// Headers whose every byte is changed: the layouts that writers make, and corners.
const HEADERS: [(&str, usize); 7] = [
    (
        r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"b":{"dtype":"F16","shape":[],"data_offsets":[24,26]}}"#,
        26,
    ),
    (
        r#"{"b":{"data_offsets":[3,9],"shape":[4,2],"dtype":"F6_E2M3"},"a":{"dtype":"F4","shape":[6],"data_offsets":[0,3]}}   "#,
        9,
    ),
    (
        r#"{"x":{"dtype":"I64","shape":[0,4],"data_offsets":[0,0]},"y":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},"z":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}}"#,
        1,
    ),
    (
        r#"{"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"note":{"x":[1,null,"é"]}},"b":{"dtype":"C64","shape":[1],"data_offsets":[1,9]}}"#,
        9,
    ),
    ("{}", 0),
    (r#"{"__metadata__":null}"#, 0),
    (r#"{"__metadata__":{"a":"1","b":"2"}}"#, 0),
];

#[test]
fn a_broken_tensor_keeps_its_name_for_another() {
    let header = r#"{"c":{"dtype":"U8","shape":[],"data_offsets":[0,0]},"c":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}"#;
    let broken = ours(&file(header, 6));
    assert!(broken.contains(Kind::RepeatedName.id()) && broken.contains(Kind::Size.id()));
    assert!(!same(&file(header, 6)));
}

#[test]
fn every_byte_of_a_file_may_be_any_other() {
    for (header, data) in HEADERS {
        let mut file = file(header, data);
        assert!(same(&file), "{header}");
        assert!(accepts(&file));
        for at in 0..8 + header.len() {
            let before = file[at];
            for byte in 0..=255 {
                file[at] = byte;
                same(&file);
            }
            file[at] = before;
        }
    }
}

#[test]
fn files_cut_or_continued_are_read_alike() {
    for (header, data) in HEADERS {
        let mut file = file(header, data);
        for end in 0..file.len() {
            assert!(!same(&file[..end]));
        }
        file.push(0);
        assert!(!same(&file));
    }
}

#[test]
fn where_we_are_stricter_a_file_shows_it() {
    let entry = r#"{"dtype":"U8","shape":[1],"data_offsets":[0,1]}"#;
    for (kind, header) in [
        (Kind::Start, format!(" {{\"a\":{entry}}}")),
        (Kind::RepeatedName, format!("{{\"a\":{entry},\"\\u0061\":{entry}}}")),
        (Kind::RepeatedKey, r#"{"__metadata__":{"a":"x","a":"y"}}"#.into()),
        (Kind::Entry, r#"{"a":["U8",[1],[0,1]]}"#.into()),
        (Kind::Type, r#"{"a":{"dtype":{"U8":null},"shape":[1],"data_offsets":[0,1]}}"#.into()),
    ] {
        let data = usize::from(kind != Kind::RepeatedKey);
        let file = file(&header, data);
        assert!(SafeTensors::read_metadata(&file).is_ok(), "{header}");
        assert!(ours(&file).contains(kind.id()), "{header}: {:?}", ours(&file));
    }
}

#[test]
fn every_oddity_is_found_by_its_name() {
    let one = |fields: &str| format!("{{\"a\":{{{fields}}}}}");
    for (kind, header, data) in [
        (Kind::Metadata, r#"{"__metadata__":[]}"#.into(), 0),
        (Kind::Metadata, r#"{"__metadata__":{"a":1}}"#.into(), 0),
        (Kind::RepeatedMetadata, r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0),
        (Kind::Entry, r#"{"a":7}"#.into(), 0),
        (Kind::Field, one(r#""dtype":"U8","shape":[]"#), 0),
        (Kind::Field, one(r#""dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]"#), 1),
        (Kind::Type, one(r#""dtype":"u8","shape":[],"data_offsets":[0,1]"#), 1),
        (Kind::Shape, one(r#""dtype":"U8","shape":[1.0],"data_offsets":[0,1]"#), 1),
        (Kind::Shape, one(r#""dtype":"U8","shape":[-1],"data_offsets":[0,1]"#), 1),
        (Kind::Shape, one(r#""dtype":"U8","shape":1,"data_offsets":[0,1]"#), 1),
        (Kind::Offsets, one(r#""dtype":"U8","shape":[],"data_offsets":[1,0]"#), 1),
        (Kind::Offsets, one(r#""dtype":"U8","shape":[],"data_offsets":[0,1,2]"#), 1),
        (
            Kind::Overflow,
            one(r#""dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]"#),
            0,
        ),
        (
            Kind::Overflow,
            one(r#""dtype":"F64","shape":[1152921504606846976],"data_offsets":[0,0]"#),
            0,
        ),
        (Kind::Bits, one(r#""dtype":"F4","shape":[3],"data_offsets":[0,1]"#), 1),
        (Kind::Size, one(r#""dtype":"U16","shape":[1],"data_offsets":[0,1]"#), 1),
        (Kind::Layout, one(r#""dtype":"U8","shape":[1],"data_offsets":[1,2]"#), 2),
        (Kind::Data, one(r#""dtype":"U8","shape":[1],"data_offsets":[0,1]"#), 2),
        (Kind::Data, "{}".into(), 1),
    ] {
        let file = file(&header, data);
        assert!(ours(&file).contains(kind.id()), "{kind:?} in {header}: {:?}", ours(&file));
        assert!(!same(&file), "{header}");
    }
    assert!(ours(b"1234567").contains(Kind::Short.id()));
    assert!(ours(&file("{}", 0)[..9]).contains(Kind::Short.id()));
    assert!(ours(&[255; 64]).contains(Kind::HeaderLength.id()));
}

/// A header of pieces: mostly right, often not.
fn headers() -> impl Strategy<Value = (String, usize)> {
    let size = prop_oneof![
        6 => (0..5_u64).prop_map(|size| size.to_string()),
        1 => prop::sample::select(vec![
            "18446744073709551615", "9223372036854775808", "18446744073709551616", "-1", "1.0", "1e1",
            "null", "\"1\"", "[1]", "{}", "4294967296",
        ]).prop_map(str::to_owned),
    ];
    let kind = prop::sample::select(vec![
        "\"U8\"",
        "\"F32\"",
        "\"F16\"",
        "\"F4\"",
        "\"F6_E3M2\"",
        "\"F8_E4M3\"",
        "\"f32\"",
        "null",
        "\"\\u0055\\u0038\"",
        "{\"U8\":null}",
        "[\"U8\"]",
    ]);
    let name = prop::sample::select(vec!["a", "b", "c", "\\u0061", "", "__metadata__", "é"]);
    let shape = vec(size.clone(), 0..3).prop_map(|sizes| format!("[{}]", sizes.join(",")));
    let ends = prop_oneof![
        8 => (0..9_u64, 0..9_u64).prop_map(|(start, length)| format!("[{start},{}]", start + length)),
        1 => vec(size, 0..4).prop_map(|sizes| format!("[{}]", sizes.join(", "))),
    ];
    let entry = (name, kind, shape, ends, 0..24_u8).prop_map(|(name, kind, shape, ends, form)| {
        let fields = match form {
            0 => format!("[{kind},{shape},{ends}]"),
            1 => format!("{{\"dtype\":{kind},\"shape\":{shape}}}"),
            2 => format!(
                "{{\"shape\":{shape},\"data_offsets\":{ends},\"dtype\":{kind},\"x\":{shape}}}"
            ),
            3 => format!(
                "{{\"dtype\":{kind},\"dtype\":{kind},\"shape\":{shape},\"data_offsets\":{ends}}}"
            ),
            4 => "{\"a\":\"b\",\"a\":\"c\"}".to_owned(),
            5 => "null".to_owned(),
            _ => format!("{{\"dtype\":{kind},\"shape\":{shape},\"data_offsets\":{ends}}}"),
        };
        format!("\"{name}\":{fields}")
    });
    (vec(entry, 0..4), 0..12_usize, prop::sample::select(vec!["", " ", "\n", " \t ", "x", "\0"]))
        .prop_map(|(entries, data, end)| (format!("{{{}}}{end}", entries.join(",")), data))
}

/// Tensors that lie as they should, in any order.
fn sound() -> impl Strategy<Value = (String, usize)> {
    (vec((0..3_u64, 0..4_u64), 0..6), any::<prop::sample::Index>()).prop_map(|(shapes, turn)| {
        let mut at = 0;
        let mut entries: Vec<String> = shapes
            .iter()
            .enumerate()
            .map(|(index, (rows, columns))| {
                let start = at;
                at += rows * columns * 2;
                format!(
                    "\"t{index}\":{{\"dtype\":\"BF16\",\"shape\":[{rows},{columns}],\"data_offsets\":[{start},{at}]}}"
                )
            })
            .collect();
        if !entries.is_empty() {
            let turn = turn.index(entries.len());
            entries.rotate_left(turn);
        }
        (format!("{{{}}}", entries.join(",")), usize::try_from(at).expect("a few bytes"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn headers_of_pieces_are_read_alike((header, data) in headers()) {
        same(&file(&header, data));
    }

    #[test]
    fn sound_files_are_accepted((header, data) in sound(), spaces in 0..9_usize) {
        let file = file(&format!("{header}{}", " ".repeat(spaces)), data);
        prop_assert!(same(&file), "{header}");
        prop_assert!(accepts(&file));
    }

    #[test]
    fn changed_files_are_read_alike(
        (header, data) in sound(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        change in 0..3_u8,
    ) {
        let mut file = file(&header, data);
        let at = at.index(file.len());
        match change {
            0 => file[at] = byte,
            1 => file.insert(at, byte),
            _ => { file.remove(at); }
        }
        same(&file);
    }

    #[test]
    fn any_bytes_may_be_read(bytes in vec(any::<u8>(), 0..64)) {
        same(&bytes);
    }
}

#[test]
fn more_tensors_than_the_limit_are_a_finding() {
    let entries: Vec<String> = (0..9)
        .map(|at| {
            format!(
                "\"{at}\":{{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[{at},{}]}}",
                at + 1
            )
        })
        .collect();
    let file = file(&format!("{{{}}}", entries.join(",")), 9);
    let mut limits = Limits::default();
    assert!(same(&file));
    limits.format.objects = 8;
    let mut ids = Vec::new();
    read(&file, &limits, &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            ids.push(anomaly.id);
        }
    });
    assert_eq!(ids, [Kind::Tensors.id()]);
}

#[test]
fn metadata_that_is_a_program_is_reported_once_for_each_text() {
    let file = file(
        r#"{"__metadata__":{"format":"pt","note":"x; \u006fs.system('id')","eval('1')":""}}"#,
        0,
    );
    let mut seen = Vec::new();
    read(&file, &Limits::default(), &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            seen.push((anomaly.id, String::from_utf8(anomaly.subject.to_vec()).unwrap()));
        }
    });
    assert_eq!(
        seen,
        [("safetensors.code", "note".into()), ("safetensors.code", "eval('1')".into())]
    );
}

#[test]
fn other_bytes_are_left_alone() {
    for bytes in [
        b"".as_slice(),
        b"{\"a\":1}",
        b"PK\x03\x04\x14\0\0\0{\"a\":1}",
        b"\x08\0\0\0TFL3{\"",
        b"\x10\0\0\0\0\0\0\0{a",
        b"\x01\0\0\0\0\0\0\0{}",
        b"        {\"a\": 1}",
    ] {
        assert!(!accepts(bytes), "{bytes:?}");
    }
    // Cut short, padded in front, or not a header at all behind the brace: it is still meant as one.
    assert!(accepts(b"\xff\0\0\0\0\0\0\0{\"a"));
    assert!(accepts(b"\x10\0\0\0\0\0\0\0 \n{ \"a\" oops}  "));
}
