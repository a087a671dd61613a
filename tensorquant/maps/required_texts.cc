#include "tensorquant/maps/required_texts.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tensorquant {
namespace {

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool may_repeat_or_drop(char c) { return c == '*' || c == '+' || c == '?' || c == '{'; }

using Texts = std::vector<std::string>;

bool holds_in_order(std::string_view name, const Texts& texts) {
  std::size_t from = 0;
  for (const std::string& text : texts) {
    from = name.find(text, from);
    if (from == std::string_view::npos) return false;
    from += text.size();
  }
  return true;
}

// Walks along an expression's sequence, into groups without alternatives. What it does not
// understand for certain ends the walk with one alternative without a text, which every name
// fulfils.
class Reader {
 public:
  explicit Reader(std::string_view expression) : rest_(expression) {}

  std::vector<Texts> read() {
    while (!rest_.empty()) {
      if (!step()) return {Texts()};
    }
    end_alternative();
    return alternatives_;
  }

 private:
  bool step() {
    const char c = rest_.front();
    switch (c) {
      case '|':
        rest_.remove_prefix(1);
        return end_alternative();
      case ')':
      case ']':
      case '}':
      case '{':
      case '*':
      case '+':
      case '?':
        return false;
      case '\\':
        return escape();
      case '[':
        return end_text() && skip_class() && skip_count();
      case '(':
        return end_text() && group() && skip_count();
      case '.':
      case '^':
      case '$':
        rest_.remove_prefix(1);
        return end_text() && skip_count();
      default:
        rest_.remove_prefix(1);
        return literal(c);
    }
  }

  // "\." is a literal, "\d" a class, "\b" an assertion; "\x41" and its like are left alone.
  bool escape() {
    if (rest_.size() < 2) return false;
    const char c = rest_[1];
    rest_.remove_prefix(2);
    if (!is_letter_or_digit(c)) return literal(c);
    if (std::string_view("dDsSwWbB").find(c) == std::string_view::npos) return false;
    return end_text() && skip_count();
  }

  bool literal(char c) {
    if (!rest_.empty() && may_repeat_or_drop(rest_.front())) return end_text() && skip_count();
    text_ += c;
    return true;
  }

  bool end_text() {
    if (!text_.empty()) texts_.push_back(std::move(text_));
    text_.clear();
    return true;
  }

  bool end_alternative() {
    end_text();
    alternatives_.push_back(std::move(texts_));
    texts_.clear();
    return true;
  }

  // What stands before a count need not stand in the name, or more than once.
  bool skip_count() {
    while (!rest_.empty() && may_repeat_or_drop(rest_.front())) {
      const std::size_t end = rest_.front() == '{' ? rest_.find('}') : 0;
      if (end == std::string_view::npos) return false;
      rest_.remove_prefix(end + 1);
    }
    return true;
  }

  // "[0-9]", without a class inside and without a ']' of its own.
  bool skip_class() {
    std::size_t i = rest_.starts_with("[^") ? 2 : 1;
    if (i < rest_.size() && rest_[i] == ']') return false;
    for (; i < rest_.size(); ++i) {
      if (rest_[i] == '[') return false;
      if (rest_[i] == '\\') {
        ++i;
      } else if (rest_[i] == ']') {
        rest_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  // The texts of a group without alternatives that stands there at least once.
  bool group() {
    const std::string_view from_here = rest_;
    if (!skip_group()) return false;
    std::string_view inside = from_here.substr(1, from_here.size() - rest_.size() - 2);
    if (inside.starts_with("?:")) inside.remove_prefix(2);
    const bool may_miss = !rest_.empty() && may_repeat_or_drop(rest_.front()) && rest_[0] != '+';
    if (may_miss || inside.starts_with('?')) return true;  // or a lookahead
    std::vector<Texts> alternatives = Reader(inside).read();
    if (alternatives.size() > 1) return true;
    for (std::string& text : alternatives.front()) texts_.push_back(std::move(text));
    return true;
  }

  bool skip_group() {
    for (int open = 0; !rest_.empty();) {
      const char c = rest_.front();
      if (c == '[') {
        if (!skip_class()) return false;
        continue;
      }
      rest_.remove_prefix(c == '\\' && rest_.size() > 1 ? 2 : 1);
      open += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (open == 0) return true;
    }
    return false;
  }

  std::string_view rest_;
  std::string text_;  // the literals since the last thing that is none
  Texts texts_;       // of the alternative
  std::vector<Texts> alternatives_;
};

}  // namespace

RequiredTexts::RequiredTexts(std::string_view expression)
    : alternatives_(Reader(expression).read()) {}

bool RequiredTexts::may_match(std::string_view name) const {
  return std::any_of(alternatives_.begin(), alternatives_.end(),
                     [name](const Texts& texts) { return holds_in_order(name, texts); });
}

}  // namespace tensorquant
