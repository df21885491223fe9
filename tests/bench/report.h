// Rows of figures: what the benchmarks print and write.
#pragma once

#include <string>
#include <vector>

struct Step {
  std::vector<std::string> words;
  bool timed = true;
};

struct Row {
  std::string name;  // GROUP/NAME: compared within its group
  std::vector<Step> steps;
  std::vector<double> us;  // one for each round
  std::string failure;     // why it is left out; "" where it works
};

struct Report {
  std::string label;
  int rounds = 0;
  std::vector<std::string> against;  // names of rows: see peer_of in report.cc
};

// For people, and as one JSON object.
std::string table(const std::vector<Row>& rows, const Report& report);
std::string json(const std::vector<Row>& rows, const Report& report);
