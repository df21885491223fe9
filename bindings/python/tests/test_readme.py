"""Every block of Python in the README runs, and prints what the block of text after it says."""

import os
import re
import subprocess
import sys
import unittest

from support import limits_reason

README = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "README.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n?```text\n(.*?)^```\n)?", re.M | re.S)


class ReadmeTest(unittest.TestCase):
    def test_examples(self):
        with open(README, encoding="utf-8") as file:
            blocks = BLOCK.findall(file.read())
        self.assertGreaterEqual(len(blocks), 5)
        ran = 0
        for code, printed in blocks:
            if "mem" in code and limits_reason():
                continue
            with self.subTest(code=code):
                done = subprocess.run([sys.executable, "-X", "utf8", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      timeout=120)
                self.assertEqual((done.stdout.decode(), done.stderr.decode(), done.returncode), (printed, "", 0))
                ran += 1
        self.assertGreater(ran, 2)


if __name__ == "__main__":
    unittest.main()
