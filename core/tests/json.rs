//! Our JSON reader and `serde_json`, side by side: they accept the same texts, and read the same
//! out of them.

#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise fails the test")]

use proptest::collection::vec;
use proptest::prelude::*;
use secure_torch_core::json::{JsonError, Reader, Token};
use serde_json::Value;

/// Builds what the tokens say, with `serde_json`'s own numbers: only their spelling is ours.
fn value(reader: &mut Reader<'_>) -> Result<Value, JsonError> {
    let token = reader.token()?.expect("a value is due");
    Ok(match token {
        Token::ObjectStart => {
            let mut map = serde_json::Map::new();
            while let Some(key) = reader.key()? {
                let name = key.chars().collect();
                map.insert(name, value(reader)?);
            }
            Value::Object(map)
        }
        Token::ArrayStart => {
            let mut items = Vec::new();
            loop {
                let mut ahead = reader.clone();
                if ahead.token()? == Some(Token::ArrayEnd) {
                    *reader = ahead;
                    break Value::Array(items);
                }
                items.push(value(reader)?);
            }
        }
        Token::String(string) => Value::String(string.chars().collect()),
        Token::Number(number) => {
            let parsed: Value = serde_json::from_str(number.raw()).expect("a number");
            assert_eq!(parsed.as_u64(), number.as_u64());
            assert_eq!(parsed.as_i64(), number.as_i64());
            parsed
        }
        Token::Bool(value) => Value::Bool(value),
        Token::Null => Value::Null,
        Token::Key(_) | Token::ObjectEnd | Token::ArrayEnd => panic!("no value: {token:?}"),
    })
}

fn ours(text: &[u8]) -> Result<Value, JsonError> {
    // The walk without values has to agree with the one that builds them.
    Reader::new(text).finish()?;
    let mut reader = Reader::new(text);
    let value = value(&mut reader)?;
    assert_eq!(reader.token()?, None);
    let mut skipper = Reader::new(text);
    skipper.skip_value()?;
    assert_eq!(skipper.token()?, None);
    Ok(value)
}

fn same(text: &[u8]) {
    let theirs = serde_json::from_slice::<Value>(text);
    let ours = ours(text);
    let shown = String::from_utf8_lossy(text);
    match (&ours, &theirs) {
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{shown}"),
        (Err(_), Err(_)) => {}
        _ => panic!("ours {ours:?}, serde_json {theirs:?}: {shown:?}"),
    }
}

/// Text of pieces that JSON is made of: often valid, often nearly so.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"\"", "\"a\":", "1", "0", "-", "-0",
            "true", "false", "null", "nul", "tru", " ", "\n", "\t", "\r", "\u{b}", "\u{feff}",
            "\\", "\\u", "\"\\u0061\"", "\"\\ud800\"", "\"\\ud800\\udc00\"", "\"\\udc00\"",
            "\"\\ud800\\ud800\"", "\"\\ud800x\"", "\"\\u00g0\"", "\"\\x\"", "\"\\/\\b\\f\\n\"",
            "\"é\"", "\u{0}", "NaN", "Infinity", "1.", ".5", "1e", "1e+", "1.5e-3", "e", "E5", "+",
            "18446744073709551615", "18446744073709551616", "/**/", "'a'",
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..3),
    ];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            vec((".{0,4}", inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// Around the places where a double ends, with zeros, many digits and huge exponents.
fn numbers() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,25}|1[0-9]{300,312}|17976931348623[0-9]{0,10})\
     (\\.[0-9]{0,30}|\\.0{300,320}[0-9]{0,3}|)\
     ([eE][+-]?(30[0-9]|29[0-9]|3[01][0-9]|[0-9]{0,4}|[0-9]{9,12})|)"
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4096) })]

    #[test]
    fn pieces_are_read_alike(text in pieces()) {
        same(&text);
    }

    #[test]
    fn numbers_are_read_alike(text in numbers()) {
        same(text.as_bytes());
    }

    #[test]
    fn valid_texts_are_read_alike(value in values(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let text = text.unwrap();
        prop_assert!(ours(&text).is_ok());
        same(&text);
    }

    #[test]
    fn changed_texts_are_read_alike(
        value in values(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        change in 0..4_u8,
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        match change {
            0 => text[at] = byte,
            1 => text.insert(at, byte),
            2 => { text.remove(at); }
            _ => text.truncate(at),
        }
        same(&text);
    }
}

#[test]
fn depth_ends_at_the_same_place() {
    for depth in 120..135 {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            same(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes());
            same(format!("{}{}", open.repeat(depth), close.repeat(depth)).as_bytes());
        }
    }
}

#[test]
fn every_byte_of_a_text_may_be_any_other() {
    let text = br#"{"a":[1,-2.5e3,true,false,null,"x\u00e9\n"],"b":{}, "c":0}"#;
    for at in 0..text.len() {
        for byte in 0..=255 {
            let mut changed = *text;
            changed[at] = byte;
            same(&changed);
        }
    }
}

#[test]
fn numbers_end_where_doubles_do() {
    let edges = [
        "1e308",
        "1e309",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "17976931348623159e292",
        "0e999999999999",
        "-0e99999999999",
        "1e-999999999999",
        "0.0e400",
        "1e2147483648",
        "123456789012345678901234567890e280",
        "99999999999999999999e289",
        "0.00001e313",
        "-0",
        "-",
        "1e0309",
        "18446744073709551616.5",
        "18446744073709551619.0e3",
        "00",
        "-01",
        "1.e5",
    ];
    edges.iter().for_each(|text| same(text.as_bytes()));
}
