// Everything an application needs; include this and link nibble::nibble.
// The whole flow; a program that wants a part of it includes that part's own header.
#pragma once

#include "nibble/core/error.hpp"
#include "nibble/engine.hpp"
#include "nibble/model.hpp"
#include "nibble/sample/sampler.hpp"
#include "nibble/session.hpp"
#include "nibble/text/chat_template.hpp"
#include "nibble/text/tokenizer.hpp"
#include "nibble/version.hpp"
