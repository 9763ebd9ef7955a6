"""Checks the structure of the Rust crates: python3 tools/structure.py

Reports, and exits with 1 if it finds any:
- circles of files: files of one crate that import each other, directly or through others;
- functions longer than 80 lines, attributes and comments above them not counted;
- `too_many_arguments` allows in crates/lm and crates/train.

Test code (`#[cfg(test)]`) is not checked. An import counts for the file that defines the name: re-exports are followed,
and a file that only re-exports a name does not import it.
"""

import re
import sys
from pathlib import Path

MAX_LINES = 80
NO_ALLOWS = ("lm", "train")

NOT_CODE = re.compile(
    r"""//[^\n]*
      | /\*.*?\*/
      | \bb?r(?P<hashes>\#*)".*?"(?P=hashes)
      | b?"(?:\\.|[^"\\])*"
      | b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'""",
    re.VERBOSE | re.DOTALL,
)
TEST_ONLY = re.compile(r"#\[cfg\((?:all\()?test\b[^\]]*\]")
USE = re.compile(r"(?P<public>\bpub(?:\([^)]*\))?\s+)?\buse\s+(?P<tree>[^;]+);")
MODULE = re.compile(r"\bmod\s+\w+\s*;")
PATH = re.compile(r"(?<![\w:])(?:crate|super|self)(?:::\w+)+")
DEFINITION = re.compile(r"\b(?:struct|enum|union|trait|type|fn|const|static|macro_rules!)\s+(\w+)")
FUNCTION = re.compile(r"\bfn\s+(\w+)")


def blank(text):
    """As many spaces, with the line ends of the text."""
    return re.sub(r"[^\n]", " ", text)


def end_of_item(code, start):
    """The position after the item that begins at `start`: after its block or its semicolon."""
    depth = 0
    for position in range(start, len(code)):
        character = code[position]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0 and character == "}":
                return position + 1
        elif character == ";" and depth == 0:
            return position + 1
    return len(code)


def without_tests(code):
    """The code with test-only items blanked, and the names of test-only modules in files of their own."""
    modules = set()
    while found := TEST_ONLY.search(code):
        end = end_of_item(code, found.end())
        item = code[found.start() : end]
        if module := re.search(r"\bmod\s+(\w+)\s*;$", item):
            modules.add(module[1])
        code = code[: found.start()] + blank(item) + code[end:]
    return code, modules


def leaves(tree, prefix=()):
    """The (path, name) pairs of a `use` tree."""
    tree = tree.strip()
    if group := re.fullmatch(r"(.*?)\{(.*)\}", tree, re.DOTALL):
        prefix += tuple(part.strip() for part in group[1].split("::") if part.strip())
        part, depth = "", 0
        for character in group[2] + ",":
            depth += {"{": 1, "}": -1}.get(character, 0)
            if character == "," and depth == 0:
                if part.strip():
                    yield from leaves(part, prefix)
                part = ""
            else:
                part += character
        return
    path, _, alias = tree.partition(" as ")
    path = prefix + tuple(part.strip() for part in path.split("::"))
    if path[-1] == "self":
        path = path[:-1]
    yield path, alias.strip() or path[-1]


class File:
    """A source file, which is one module."""

    def __init__(self, path, source):
        self.path = path
        parts = list(path.relative_to(source).with_suffix("").parts)
        if parts[-1] == "mod" or parts in (["lib"], ["main"]):
            parts.pop()
        self.module = tuple(parts)
        text = path.read_text(encoding="utf-8")
        code = NOT_CODE.sub(lambda found: blank(found[0]), text)
        self.code, self.test_modules = without_tests(code)
        self.imports, self.exports = {}, {}
        self.globs = []
        for found in USE.finditer(self.code):
            for path_, name in leaves(found["tree"]):
                if name == "*":
                    self.globs.append((path_[:-1], bool(found["public"])))
                else:
                    (self.exports if found["public"] else self.imports)[name] = path_
        self.defines = set(DEFINITION.findall(self.code))
        self.body = MODULE.sub("", USE.sub("", self.code))
        self.body_words = set(re.findall(r"\w+", self.body))

    def functions(self):
        """Name, line and number of lines of every function with a body."""
        for found in FUNCTION.finditer(self.code):
            end = end_of_item(self.code, found.start())
            if self.code[end - 1] == "}":
                lines = self.code.count("\n", found.start(), end) + 1
                yield found[1], self.code.count("\n", 0, found.start()) + 1, lines


class Crate:
    """The files of a crate and what they import from each other."""

    def __init__(self, source):
        files = [File(path, source) for path in sorted(source.rglob("*.rs"))]
        tests = {file.module + (name,) for file in files for name in file.test_modules}
        self.files = [file for file in files if file.module not in tests]
        self.modules = {file.module: file for file in self.files}

    def resolve(self, module, path, seen=()):
        """The (module, name) that defines what `path` in `module` means; the name is None for a module.

        None for another crate's.
        """
        if not path:
            return module, None
        first, rest = path[0], path[1:]
        if first == "crate":
            return self.resolve((), rest, seen)
        if first == "self":
            return self.resolve(module, rest, seen)
        if first == "super":
            return self.resolve(module[:-1], rest, seen)
        if module + (first,) in self.modules:
            return self.resolve(module + (first,), rest, seen)
        file = self.modules[module]
        target = file.exports.get(first) or file.imports.get(first)
        if target and (module, first) not in seen:
            found = self.resolve_use(module, target, seen + ((module, first),))
            if found and found[1] is None:
                return self.resolve(found[0], rest, seen)
            return found
        for glob, _ in () if first in file.defines else file.globs:
            found = self.resolve_use(module, glob, seen)
            if found and found[1] is None and first in self.modules[found[0]].defines:
                return found[0], first
        return module, first

    def resolve_use(self, module, path, seen=()):
        """As `resolve`, for the path of a `use`, which may begin with another crate's name."""
        names = ("crate", "self", "super")
        if path[0] not in names and module + (path[0],) not in self.modules:
            file = self.modules[module]
            known = file.imports.get(path[0]) or file.exports.get(path[0])
            if not known or known == path:
                return None
        return self.resolve(module, path, seen)

    def edges(self, file):
        """The files that `file` imports, with a name imported from each."""
        found = {}

        def add(target):
            if target and target[0] != file.module and target[0] in self.modules:
                found.setdefault(self.modules[target[0]].path, target[1] or "*")

        for path, public in file.globs:
            target = self.resolve_use(file.module, path)
            if target and not (public and file.body_words.isdisjoint(self.modules[target[0]].defines)):
                add(target)
        modules = {module[-1]: module for module in self.modules if module and module[:-1] == file.module}
        for name, path in {**file.exports, **file.imports}.items():
            target = self.resolve_use(file.module, path)
            if target and target[1] is None:
                modules[name] = target[0]
            elif name in file.imports or name in file.body_words:
                add(target)
        for path in PATH.findall(file.body):
            add(self.resolve(file.module, tuple(path.split("::"))))
        for name, module in modules.items():
            for used in re.findall(rf"(?<![\w:.]){name}::(\w+)", file.body):
                add(self.resolve(module, (used,)))
        return found

    def circles(self):
        """For each group of files that import each other, a shortest circle as (file, name, file) steps, and the group."""
        edges = {file.path: self.edges(file) for file in self.files}
        reach = {path: reachable(edges, path) for path in edges}
        done = set()
        for path in edges:
            if path in reach[path] and path not in done:
                group = {other for other in reach[path] if path in reach[other]}
                done |= group
                yield shortest_circle(edges, group), group


def reachable(edges, start):
    found, waiting = set(), [start]
    while waiting:
        for target in edges[waiting.pop()]:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def shortest_circle(edges, group):
    best = None
    for start in sorted(group):
        routes, waiting = {start: []}, [start]
        for path in waiting:
            for target, name in edges[path].items():
                route = routes[path] + [(path, name, target)]
                if target == start and (best is None or len(route) < len(best)):
                    best = route
                if target in group and target not in routes:
                    routes[target] = route
                    waiting.append(target)
    return best


def main():
    root = Path(__file__).resolve().parent.parent
    problems = []
    for source in sorted(root.glob("crates/*/src")):
        crate = Crate(source)
        for circle, group in crate.circles():
            steps = [f"{a.relative_to(source)} imports {name} of {b.relative_to(source)}" for a, name, b in circle]
            names = ", ".join(sorted(str(path.relative_to(source)) for path in group))
            problems.append(f"{source.parent.name}: circle of {len(group)} files ({names}): {'; '.join(steps)}")
        for file in crate.files:
            place = file.path.relative_to(root)
            for name, line, lines in file.functions():
                if lines > MAX_LINES:
                    problems.append(f"{place}:{line}: `{name}` has {lines} lines, expected at most {MAX_LINES}")
            if source.parent.name in NO_ALLOWS:
                for found in re.finditer("too_many_arguments", file.code):
                    line = file.code.count("\n", 0, found.start()) + 1
                    problems.append(f"{place}:{line}: `too_many_arguments`, expected a struct of arguments")
    print("\n".join(problems) or "structure: no circle of files, no long function, no long list of arguments")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
