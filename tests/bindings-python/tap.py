"""The unit tests of the package as TAP: tap.py FOLDER PREFIX. Numbers and the plan are the caller's."""

import sys
import unittest


class Tap(unittest.TestResult):
    """A line for each test; sub-tests that failed are told by their test."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix
        self.troubles = []

    def startTest(self, test):
        super().startTest(test)
        self.troubles = []

    def say(self, result, test, skip=""):
        name = test.id() if hasattr(test, "id") else str(test)
        print(f"{result} - {self.prefix}: {name}{skip}", flush=True)

    def addSuccess(self, test):
        self.say("not ok" if self.troubles else "ok", test)
        self.explain()

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.troubles.append(f"{subtest}: {self._exc_info_to_string(error, test)}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("ok", test, f" # SKIP {reason}")

    def addError(self, test, error):
        super().addError(test, error)
        self.fail(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.fail(test, error)

    def fail(self, test, error):
        self.troubles.append(self._exc_info_to_string(error, test))
        self.say("not ok", test)
        self.explain()

    def stopTest(self, test):
        super().stopTest(test)
        # With sub-tests that failed, neither success nor failure is told of the test itself.
        if self.troubles:
            self.say("not ok", test)
            self.explain()

    def explain(self):
        for trouble in self.troubles:
            for line in trouble.splitlines():
                print(f"#   {line}", flush=True)
        self.troubles = []


folder, prefix = sys.argv[1:]
result = Tap(prefix)
unittest.defaultTestLoader.discover(folder).run(result)
sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
