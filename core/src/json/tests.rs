//! Tokens, what they mean, and where a text breaks.

extern crate std;

use super::*;
use std::string::String;
use std::vec::Vec;

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut reader = Reader::new(text.as_bytes());
    core::iter::from_fn(|| reader.token().unwrap()).collect()
}

fn fails(text: &str, kind: JsonErrorKind, offset: u64) {
    let mut reader = Reader::new(text.as_bytes());
    let error = reader.finish().unwrap_err();
    assert_eq!(error, JsonError { kind, offset }, "{text}");
    assert_eq!(reader.token(), Err(error), "an error stays");
}

#[test]
fn tokens_come_in_order() {
    let text = " {\"a\" : [1, -2.5e3 ,true,null], \"b\":{}, \"c\":\"\" } ";
    let tokens = tokens(text);
    assert_eq!(tokens.len(), 14);
    assert!(matches!(tokens[1], Token::Key(key) if key == "a" && key.offset() == 3));
    assert!(matches!(tokens[3], Token::Number(number) if number.as_u64() == Some(1)));
    assert!(matches!(tokens[4], Token::Number(number) if number.raw() == "-2.5e3"));
    assert_eq!(tokens[13], Token::ObjectEnd);
}

#[test]
fn escaped_text_is_compared_by_what_it_means() {
    let escaped = r#""\u0061uto_\u006dap""#;
    let Token::String(string) = tokens(escaped)[0] else { panic!("a string") };
    assert!(string == "auto_map");
    assert!(string != "auto_maps" && string != "auto_ma" && string != string.raw());
    let mut buffer = [0; 8];
    assert_eq!(string.text(&mut buffer), Some(b"auto_map".as_slice()));
    assert_eq!(string.text(&mut buffer[..7]), None);
    let Token::String(pair) = tokens(r#""\ud83d\uDE00\n\/\"""#)[0] else { panic!("a string") };
    assert_eq!(pair.chars().collect::<String>(), "\u{1f600}\n/\"");
}

#[test]
fn objects_are_walked_by_their_keys() {
    let mut reader = Reader::new(br#"{"a":{"x":[1,{"y":2}]},"b":"text"}"#);
    assert_eq!(reader.key(), Ok(None), "no object is open");
    assert_eq!(reader.token(), Ok(Some(Token::ObjectStart)));
    assert!(reader.key().unwrap().unwrap() == "a");
    assert_eq!(reader.key(), Ok(None), "a value is due");
    assert_eq!(reader.skip_value(), Ok(5..22));
    assert!(reader.key().unwrap().unwrap() == "b");
    assert_eq!(reader.skip_value(), Ok(27..33));
    assert_eq!(reader.key(), Ok(None));
    assert_eq!(reader.token(), Ok(None));
    let mut reader = Reader::new(b"[[1,[2]],3]");
    reader.token().unwrap();
    reader.token().unwrap();
    reader.leave().unwrap();
    assert_eq!((reader.depth(), reader.end()), (1, 8));
}

#[test]
fn the_lenient_reader_takes_what_python_takes() {
    for text in [
        "[NaN, Infinity, -Infinity, -1]",
        "1e999",
        "\u{feff}{}",
        r#""\ud800""#,
        r#""\udc00\ud800\u0041""#,
        r#""\ud800\n""#,
    ] {
        assert!(Reader::new(text.as_bytes()).finish().is_err(), "{text}");
        assert_eq!(Reader::lenient(text.as_bytes()).finish(), Ok(()), "{text}");
    }
    for text in ["[Nan]", "-Inf", "+1", "\"\t\"", "{} {}", "'a'", "[1,]", "01"] {
        assert!(Reader::lenient(text.as_bytes()).finish().is_err(), "{text}");
    }
    let halves = Reader::lenient(br#""\ud800a\udc00\ud83d\ude00""#).token();
    let Ok(Some(Token::String(halves))) = halves else { panic!("a string") };
    assert_eq!(halves.chars().collect::<String>(), "\u{fffd}a\u{fffd}\u{1f600}");
}

#[test]
fn errors_say_where() {
    fails("", JsonErrorKind::End, 0);
    fails("[1,]", JsonErrorKind::Value, 3);
    fails("{\"a\":1,}", JsonErrorKind::Key, 7);
    fails("{\"a\" 1}", JsonErrorKind::Colon, 5);
    fails("[1 2]", JsonErrorKind::Comma, 3);
    fails("[01]", JsonErrorKind::Number, 2);
    fails("1e309", JsonErrorKind::Range, 0);
    fails("\"\\x\"", JsonErrorKind::Escape, 2);
    fails("\"\\ud800\"", JsonErrorKind::Surrogate, 1);
    fails("\"\n\"", JsonErrorKind::Control, 1);
    fails("{} x", JsonErrorKind::Trailing, 3);
    fails("nul", JsonErrorKind::End, 3);
    assert_eq!(
        Reader::new(b"\"a\xff\"").finish(),
        Err(JsonError { kind: JsonErrorKind::Utf8, offset: 2 })
    );
}
