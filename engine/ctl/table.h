// Tables as Flocker printed them: left-aligned columns, three blanks apart, no decoration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flocker {

using TableRow = std::vector<std::string>;

// The rows, one a line, the first being the header. A short row has empty cells at its end; no line ends in blanks.
std::string FormatTable(const std::vector<TableRow>& rows);

enum class Paint { kGreen, kYellow, kRed };

// The text in a colour of ECMA-48 (SGR), and back to the terminal's own.
std::string Painted(std::string_view text, Paint paint);

// How many columns of a terminal a UTF-8 text fills. Knows that the two symbols of a status are two columns wide, that
// Painted's sequences are none, and takes everything else for one.
size_t DisplayWidth(std::string_view text);

}  // namespace flocker
