#include "initialised.h"

#include <string>

// Not constant, so that only code that runs before main can have set it.
static std::string text = std::to_string(42);

int initialised_value(void) { return text.empty() ? 0 : std::stoi(text); }
