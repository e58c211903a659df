extern crate std;

use super::*;
use crate::format::event::Event;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

fn found(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    read(source.as_bytes(), &Limits::default(), &mut |event| {
        if let Event::Anomaly(anomaly) = event {
            let subject = String::from_utf8_lossy(anomaly.subject);
            found.push(format!("{} {subject}", anomaly.id));
        }
    });
    found
}

#[test]
fn names_are_followed_through_imports_and_bindings() {
    for source in [
        "import os\nos.system('x')",
        "import os as o\no.system('x')",
        "from os import system\nsystem('x')",
        "from os import system as s\ns('x')",
        "import os.path\nos.system('x')",
        "import os\no = os\no.system('x')",
        "import os\na = os\nb = a\nb.system('x')",
        "def f():\n  o.system('x')\nimport os as o",
        "import json, os as o\no . \\\n  system ('x')",
        "from os import (path,\n  # note\n  system)\nsystem('x')",
        "import torch\ntorch.os.system('x')",
        "f'{__import__(\"os\").system(\"x\")}'",
        "import os\nf'{x:{os.system(\"x\")}}'",
        "import os\nf\"{os.system(f\"{1}\")}\"",
        "# a comment\rimport os\ros.system('x')",
        "import os\nf = [os.system]",
        "e = eval",
        "import os;os.system('x')",
        "x = 1if 1 else 0;import os;os.system",
    ] {
        let found = found(source);
        assert!(found.iter().any(|it| it.starts_with("python.dangerous")), "{source:?} {found:?}");
    }
}

#[test]
fn what_only_looks_like_it_is_not_taken() {
    for source in [
        "",
        "import os, sys, json, logging\nx = os.path.join(os.getcwd(), 'eval')\n",
        "class H:\n  def eval(self):\n    self.model.eval()\n    return self.compile(x)\n",
        "# os.system\n'''import os; os.system'''\n",
        "f(eval=True, compile=1)\nrow = {'exec': 1}",
        "import torch\nm = torch.load('x', map_location='cpu')\nm.eval()\ntorch.compile(m)",
        "from ts.torch_handler.base_handler import BaseHandler\nfrom . import eval\n",
        "def f():\n  yield from g\n  raise A from b\n",
        "f'{x!r:>{w}} {{eval}} {y:%H:%M}' f\"{d['a']}\"",
        "import zipfile\nwith zipfile.ZipFile(p) as z: z.extractall(d)\nwith open(p) as f: f.read()",
        "x: int = 0xffe+1\ny = 1e-5; z = .5; s = r'\\\\' ; t = b\"\\\"\"",
    ] {
        assert_eq!(found(source), Vec::<String>::new(), "{source:?}");
    }
}

#[test]
fn each_trick_is_named() {
    for (source, id) in [
        ("# -*- coding: utf-7 -*-\n", "python.coding utf-7"),
        ("\n# vim: set fileencoding=raw_unicode_escape :\n", "python.coding raw_unicode_escape"),
        ("ｏｓ.system('x')", "python.letters ｏｓ"),
        ("a.ｓｙstem", "python.letters ｓｙstem"),
        ("from os import *", "python.star os"),
        ("import os\nf(os)", "python.value os"),
        ("import os\na, b = os, 1", "python.value os"),
        ("().__class__.__base__.__subclasses__()", "python.walk __subclasses__"),
        ("x = 'never ends", "python.unreadable "),
        ("a\0b", "python.unreadable not UTF-8 text"),
        ("import sys\nsys.modules['os']", "python.dangerous sys.modules"),
        ("import subprocess\nx = subprocess.run", "python.dangerous subprocess.run"),
    ] {
        let found = found(source);
        assert!(found.iter().any(|it| it == id), "{source:?} {found:?}");
    }
    assert_eq!(found("# coding: latin-1\nx = 1"), Vec::<String>::new());
    assert_eq!(found("x = 1\n# coding: utf-7\n"), Vec::<String>::new());
}

#[test]
fn too_many_names_are_a_finding() {
    let few: String = (0..NAMES).map(|at| format!("import m{at}\n")).collect();
    assert_eq!(found(&few), Vec::<String>::new());
    assert_eq!(found(&format!("{few}import one_more")), vec!["python.names "]);
}

#[test]
fn bytecode_has_its_structure() {
    assert!(is_bytecode(b"\xa7\r\r\n\0\0\0\0\0\0\0\0\0\0\0\0\xe3\0"));
    assert!(is_bytecode(b"\x03\xf3\r\n\0\0\0\0c\0\0\0"));
    assert!(!is_bytecode(b"ab\r\nsome text\r\nmore text than that"));
    assert!(!is_bytecode(b"\xa7\r\r\n"));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_walked_to_an_end(bytes: Vec<u8>) {
        read(&bytes, &Limits::default(), &mut |_| {});
    }

    #[test]
    fn tokens_follow_one_another(source in "[a-z'\"{}\\[\\]().:=#f\\\\ \n\r]{0,200}") {
        let mut at = 0;
        for token in Lexer::new(source.as_bytes()) {
            assert!(token.at >= at || token.kind == Kind::Broken, "{token:?}");
            at = token.at;
        }
    }
}
