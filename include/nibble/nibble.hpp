// Everything an application needs; include this and link nibble::nibble.
#pragma once

#include "nibble/core/error.hpp"
#include "nibble/engine.hpp"
#include "nibble/model.hpp"
#include "nibble/sample/sampler.hpp"
#include "nibble/session.hpp"
#include "nibble/text/tokenizer.hpp"
#include "nibble/version.hpp"
