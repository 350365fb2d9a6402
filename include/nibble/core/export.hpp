// Symbol visibility: what the library shows when it is built as a shared object.
// Everything is hidden unless marked.
#pragma once

#if defined(__GNUC__)
#define NIBBLE_API __attribute__((visibility("default")))
#else
#define NIBBLE_API
#endif
