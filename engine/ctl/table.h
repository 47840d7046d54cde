// Tables as Flocker printed them: left-aligned columns, three blanks apart, no decoration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flocker {

using TableRow = std::vector<std::string>;

// The rows, one a line, the first being the header. A short row has empty cells at its end; no line ends in blanks.
std::string FormatTable(const std::vector<TableRow>& rows);

// How many columns of a terminal a UTF-8 text fills. Knows that the two symbols of a status are two columns wide and
// takes everything else for one.
size_t DisplayWidth(std::string_view text);

}  // namespace flocker
