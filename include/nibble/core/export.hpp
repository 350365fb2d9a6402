// Symbol visibility: what the library shows when it is built as a shared object.
// Everything is hidden unless marked; static builds need no mark.
#pragma once

#if defined(NIBBLE_SHARED) && defined(_WIN32)
#ifdef NIBBLE_BUILDING
#define NIBBLE_API __declspec(dllexport)
#else
#define NIBBLE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define NIBBLE_API __attribute__((visibility("default")))
#else
#define NIBBLE_API
#endif
