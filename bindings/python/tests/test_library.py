"""Finding libclawrun, and refusing what is not it. Each in an interpreter of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import clawrun

TEMPLATE = 'const char *clawrun_version(void) { return "%s"; }\n'


def python(code, **environment):
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                          env={**os.environ, **environment}, timeout=60)


class LoadTest(unittest.TestCase):
    def refused(self, library):
        code = ("import clawrun\ntry: clawrun.Sandbox()\nexcept clawrun.LibraryError as error: print(error)\n"
                "else: raise SystemExit('loaded')")
        done = python(code, CLAWRUN_LIBRARY=library)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def made(self, text):
        if shutil.which("cc") is None:
            self.skipTest("no C compiler (cc) to make a wrong library with")
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "lib.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", path, "-"], input=text.encode(), check=True)
        return path

    def test_none(self):
        said = self.refused("/nowhere/libclawrun.so")
        self.assertIn("/nowhere/libclawrun.so", said)
        self.assertIn("CLAWRUN_LIBRARY", said)

    def test_another_library(self):
        self.assertIn("clawrun_version", self.refused(self.made("int other;")))

    def test_another_version(self):
        for version in ("1.0.0", "0.0.9", "nonsense"):
            with self.subTest(version=version):
                self.assertIn(f"is libclawrun {version}", self.refused(self.made(TEMPLATE % version)))

    def test_a_part_of_it(self):
        self.assertIn("clawrun_string_free", self.refused(self.made(TEMPLATE % "0.1.0")))

    def test_importing_needs_no_library(self):
        self.assertEqual(python("import clawrun", CLAWRUN_LIBRARY="/nowhere").returncode, 0)


class ImportTest(unittest.TestCase):
    def test_what_costs_time_is_imported_when_it_is_needed(self):
        code = "import sys, clawrun; print(*(name for name in ('asyncio', 'enum', 'json', 'subprocess', 'threading', 'typing') if name in sys.modules))"
        done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({os.path.dirname(clawrun.__path__[0])!r})\n{code}"],
                              stdout=subprocess.PIPE, universal_newlines=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "\n"))

    def test_all_names_are_there(self):
        for name in clawrun.__all__:
            self.assertIsNotNone(getattr(clawrun, name), name)
        self.assertRaises(AttributeError, getattr, clawrun, "AsyncNothing")


if __name__ == "__main__":
    unittest.main()
