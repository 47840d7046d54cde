#include "engine/ctl/table.h"

#include <algorithm>

namespace flocker {
namespace {

constexpr std::string_view kGap = "   ";
constexpr std::string_view kWide[] = {"✅", "⌛"};
constexpr std::string_view kSequence = "\033[";  // up to an 'm'

}  // namespace

std::string Painted(std::string_view text, Paint paint) {
  const std::string_view colour = paint == Paint::kGreen ? "32" : paint == Paint::kYellow ? "33" : "31";
  std::string painted(kSequence);
  painted.append(colour).append("m").append(text).append(kSequence).append("0m");
  return painted;
}

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, kSequence.size()) == kSequence) {
      i = std::min(text.find('m', i), text.size());
      continue;
    }
    if ((static_cast<unsigned char>(text[i]) & 0xC0) == 0x80) continue;  // a continuation byte
    ++width;
    for (const std::string_view symbol : kWide) {
      if (text.substr(i, symbol.size()) == symbol) ++width;
    }
  }
  return width;
}

std::string FormatTable(const std::vector<TableRow>& rows) {
  std::vector<size_t> widths;
  for (const TableRow& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(row[i]));
  }
  std::string text;
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - DisplayWidth(row[i]), ' ');
      line += kGap;
    }
    line.resize(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace flocker
