// Text as UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace graphopt {

inline bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// Shortest forms only, no surrogates, nothing above U+10FFFF.
inline bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i <= static_cast<size_t>(more)) return false;
    uint32_t point = lead & (0x3Fu >> more);
    for (int k = 1; k <= more; ++k) {
      const char byte = text[i + static_cast<size_t>(k)];
      if (!continues_character(byte)) return false;
      point = point << 6 | (static_cast<unsigned char>(byte) & 0x3Fu);
    }
    const bool surrogate = point >= 0xD800 && point < 0xE000;
    if (surrogate || point > 0x10FFFF || point < (more == 1 ? 0x80u : more == 2 ? 0x800u : 0x10000u)) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

// The largest number of bytes up to `most` that ends no character in its middle.
inline size_t whole_characters(std::string_view text, size_t most) {
  if (text.size() <= most) return text.size();
  while (most > 0 && continues_character(text[most])) --most;
  return most;
}

}  // namespace graphopt
