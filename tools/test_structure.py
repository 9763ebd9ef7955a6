"""Tests of structure.py: python3 tools/test_structure.py"""

import tempfile
import unittest
from pathlib import Path

from structure import Crate


def crate(files):
    directory = tempfile.TemporaryDirectory()
    for name, text in files.items():
        path = Path(directory.name) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = Crate(Path(directory.name))
    directory.cleanup()
    return found


def circles(files):
    found = crate(files)
    root = found.modules[()].path.parent
    return [sorted(str(path.relative_to(root)) for path in group) for _, group in found.circles()]


class Circles(unittest.TestCase):
    def test_files_that_import_each_other(self):
        for b in ["use crate::a::A;", "use super::a::{self, A};\nfn f() { a::g() }", "fn f() -> crate::a::A {}"]:
            files = {"lib.rs": "mod a; mod b;", "a.rs": "use crate::b::B; pub struct A;", "b.rs": b + "pub struct B;"}
            self.assertEqual(circles(files), [["a.rs", "b.rs"]], b)

    def test_a_longer_circle_and_a_chain(self):
        files = {"lib.rs": "", "a.rs": "use crate::b::B;", "b.rs": "use crate::c::C;", "c.rs": "use crate::a::A;"}
        self.assertEqual(circles(files), [["a.rs", "b.rs", "c.rs"]])
        self.assertEqual(circles({**files, "c.rs": ""}), [])

    def test_re_exports_are_followed_to_the_file_that_defines_the_name(self):
        lib = "mod a; mod b; pub use a::A; pub use b::*;"
        a, b = "use crate::B; pub struct A;", "use crate::A; pub struct B;"
        self.assertEqual(circles({"lib.rs": lib, "a.rs": a, "b.rs": b}), [["a.rs", "b.rs"]])
        self.assertEqual(circles({"lib.rs": lib, "a.rs": a, "b.rs": "pub struct B;"}), [])

    def test_a_parent_that_uses_its_child_and_a_child_that_uses_its_parent(self):
        parent = "mod child; pub use child::C; pub struct P;"
        files = {"lib.rs": "", "p/mod.rs": parent, "p/child.rs": "use super::P; pub struct C;"}
        self.assertEqual(circles(files), [], "it only re-exports")
        for use in ["fn f(c: C) {}", "use child::D;", "fn f() { child::g() }"]:
            self.assertEqual(circles({**files, "p/mod.rs": parent + use}), [["p/child.rs", "p/mod.rs"]], use)

    def test_tests_comments_strings_and_other_crates_do_not_count(self):
        files = {
            "lib.rs": "mod a; mod b;",
            "a.rs": "use crate::b::B; pub struct A;",
            "b.rs": '#[cfg(test)] mod tests { use crate::a::A; } // use crate::a::A;\n fn f() { "use crate::a::A;" }',
        }
        self.assertEqual(circles(files), [])
        files["b.rs"] = "use other::a::A; use std::a; #[cfg(test)] mod tests; pub struct B;"
        self.assertEqual(circles({**files, "b/tests.rs": "use super::*; use crate::a::A;"}), [])


class Functions(unittest.TestCase):
    def test_lines_from_the_name_to_the_closing_brace(self):
        text = "/// }\nfn one<'a>(x: &'a str) { '}'; }\n\npub fn two(\n  x: [u8; 2],\n) -> u8 {\n  \"}\";\n}\ntrait T { fn none(); }\n"
        found = crate({"lib.rs": text}).modules[()]
        self.assertEqual(list(found.functions()), [("one", 2, 1), ("two", 4, 5)])


if __name__ == "__main__":
    unittest.main()
