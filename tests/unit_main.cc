// The one main of the unit tests, and a reporter that prints a TAP line for each test case.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstdio>
#include <sstream>
#include <string>

namespace {

// A diagnostic of many lines stays a comment on every one of them.
std::string commented(const char* text) {
  std::string lines;
  for (; *text != '\0'; ++text) {
    lines += *text;
    if (*text == '\n') lines += "#   ";
  }
  return lines;
}

class TapReporter final : public doctest::IReporter {
 public:
  explicit TapReporter(const doctest::ContextOptions&) {}

  void report_query(const doctest::QueryData& query) override {
    for (unsigned i = 0; i < query.num_data; ++i) std::printf("%s\n", query.data[i]->m_name);
  }
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override { std::printf("1..%u\n", count_); }
  void test_case_start(const doctest::TestCaseData& data) override { current_ = &data; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats& stats) override {
    std::printf("%s %u - %s\n", stats.testCaseSuccess ? "ok" : "not ok", ++count_, current_->m_name);
    std::fflush(stdout);  // what was reported stays reported when the next case brings the process down
  }
  void test_case_exception(const doctest::TestCaseException& exception) override {
    std::printf("# %s:%u: threw %s\n", current_->m_file.c_str(), current_->m_line,
                commented(exception.error_string.c_str()).c_str());
  }
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& data) override {
    if (!data.m_failed) return;
    std::printf("# %s:%d: %s(%s)", data.m_file, data.m_line, doctest::assertString(data.m_at), data.m_expr);
    if (data.m_threw)
      std::printf(" threw %s", commented(data.m_exception.c_str()).c_str());
    else
      std::printf(" is %s", commented(data.m_decomp.c_str()).c_str());
    print_context();
  }
  void log_message(const doctest::MessageData& data) override {
    std::printf("# %s:%d: %s", data.m_file, data.m_line, commented(data.m_string.c_str()).c_str());
    print_context();
  }
  void test_case_skipped(const doctest::TestCaseData& data) override {
    if (!data.m_skip) return;  // left out by a filter of the command line: not counted
    std::printf("ok %u - %s # SKIP marked with doctest::skip\n", ++count_, data.m_name);
  }

 private:
  // What CAPTURE and INFO have noted.
  void print_context() const {
    const doctest::IContextScope* const* scopes = get_active_contexts();
    for (int i = 0; i < get_num_active_contexts(); ++i) {
      std::ostringstream stream;
      scopes[i]->stringify(&stream);
      std::printf("; %s", commented(stream.str().c_str()).c_str());
    }
    std::printf("\n");
  }

  const doctest::TestCaseData* current_ = nullptr;
  unsigned count_ = 0;
};

REGISTER_REPORTER("tap", 1, TapReporter);

}  // namespace
