#include "report.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace {

struct Figures {
  double min = 0;
  double median = 0;
  double p95 = 0;
  double p99 = 0;
};

Figures figures_of(const Row& row) {
  std::vector<double> sorted = row.us;
  std::ranges::sort(sorted);
  const auto at = [&](double part) { return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))]; };
  return sorted.empty() ? Figures{} : Figures{sorted.front(), at(0.5), at(0.95), at(0.99)};
}

const Row* find(const std::vector<Row>& rows, std::string_view name) {
  for (const Row& row : rows)
    if (row.name == name && row.failure.empty()) return &row;
  return nullptr;
}

std::string number(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  return text;
}

std::string ratio(const Row& row, const Row* other, double Figures::*figure) {
  if (other == nullptr) return "-";
  return number(figures_of(row).*figure / (figures_of(*other).*figure), 2);
}

// The row that `row` is compared with.
const Row* peer_of(const std::vector<Row>& rows, const Row& row, const std::string& name) {
  const std::size_t slash = row.name.find('/');
  return find(rows, slash == std::string::npos ? name : row.name.substr(0, slash + 1) + name);
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

std::string table(const std::vector<Row>& rows, const Report& report) {
  std::vector<std::vector<std::string>> cells{{"command", "min us", "median us", "p95 us", "p99 us"}};
  for (const std::string& name : report.against) {
    cells[0].push_back("median/" + name);
    cells[0].push_back("min/" + name);
  }
  for (const Row& row : rows) {
    if (!row.failure.empty()) continue;
    const Figures f = figures_of(row);
    cells.push_back({row.name, number(f.min, 0), number(f.median, 0), number(f.p95, 0), number(f.p99, 0)});
    for (const std::string& name : report.against) {
      const Row* peer = peer_of(rows, row, name);
      cells.back().push_back(ratio(row, peer, &Figures::median));
      cells.back().push_back(ratio(row, peer, &Figures::min));
    }
  }
  std::string text = report.label + (report.label.empty() ? "" : ": ") + std::to_string(report.rounds) + " rounds\n";
  for (const auto& line : cells)
    for (std::size_t column = 0; column < line.size(); ++column) {
      std::size_t width = 0;
      for (const auto& other : cells) width = std::max(width, other[column].size());
      const std::string fill(width - line[column].size(), ' ');
      text += column == 0 ? line[column] + fill : "  " + fill + line[column];
      if (column + 1 == line.size()) text += '\n';
    }
  for (const Row& row : rows)
    if (!row.failure.empty()) text += row.name + ": does not work here: " + row.failure + "\n";
  return text;
}

std::string json(const std::vector<Row>& rows, const Report& report) {
  const auto or_null = [](std::string text) { return text == "-" ? "null" : text; };
  std::string text = "{\"label\":" + quoted(report.label) + ",\"rounds\":" + std::to_string(report.rounds) + ",\"rows\":[";
  for (const Row& row : rows) {
    const Figures f = figures_of(row);
    text += (&row == rows.data() ? "\n{" : ",\n{") + std::string("\"name\":") + quoted(row.name) + ",\"command\":[";
    for (const Step& step : row.steps) {
      if (&step != row.steps.data()) text += ",\";\",";
      for (const std::string& word : step.words) text += (&word == step.words.data() ? "" : ",") + quoted(word);
    }
    text += "],";
    if (!row.failure.empty()) {
      text += "\"failure\":" + quoted(row.failure) + "}";
      continue;
    }
    text += "\"min_us\":" + number(f.min, 1) + ",\"median_us\":" + number(f.median, 1) + ",\"p95_us\":" + number(f.p95, 1) +
            ",\"p99_us\":" + number(f.p99, 1);
    for (const std::string& name : report.against) {
      const Row* peer = peer_of(rows, row, name);
      text += ",\"median_to_" + name + "\":" + or_null(ratio(row, peer, &Figures::median)) + ",\"min_to_" + name +
              "\":" + or_null(ratio(row, peer, &Figures::min));
    }
    text += "}";
  }
  return text + "]}\n";
}
